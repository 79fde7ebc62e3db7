//! The store keeps the contract.

rsvp_testkit::conformance!(rsvp_sorted::SortedStore::default());
