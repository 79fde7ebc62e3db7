//! The store itself.

use super::support::subject;

rsvp_testkit::conformance!(subject(1, |mut stores| stores.remove(0)).await);
