//! The suite passes the backend that the documentation shows, and fails stores broken on purpose.

mod broken_layers;
mod broken_stores;
mod sorted_store;

rsvp_testkit::conformance!(sorted_store::SortedStore::default());
