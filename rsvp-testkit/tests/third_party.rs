//! The backend that the documentation shows, with the line that tests it.

mod sorted_store;

rsvp_testkit::conformance!(sorted_store::SortedStore::default());
