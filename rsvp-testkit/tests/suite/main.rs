//! The suite passes the backend that the documentation shows, and fails stores broken on purpose.

mod broken_layers;
mod broken_stores;
mod sorted_store;

rsvp_testkit::conformance!(sorted_store::SortedStore::default(), except {
    a_store_that_cannot_write_is_not_ready => "there is no engine that could stop",
    an_entry_that_fails_takes_no_other_down => "there is no engine that could refuse an entry",
});
