//! The memory store keeps the contract.

rsvp_testkit::conformance!(rsvp_memory::MemoryStore::new());
