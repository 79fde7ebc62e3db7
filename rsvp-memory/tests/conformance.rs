//! The memory store keeps the contract.

rsvp_testkit::conformance!(rsvp_memory::MemoryStore::new(), except {
    a_store_that_cannot_write_is_not_ready => "there is no engine that could stop",
    an_entry_that_fails_takes_no_other_down => "there is no engine that could refuse an entry",
});
