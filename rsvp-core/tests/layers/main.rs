//! The contract through every layer (`conformance`), and the promises of each layer beyond it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod coalesce;
mod coalesce_faults;
mod conformance;
mod count_cache;
mod limit;
mod observe;
mod overload;
mod placement;
mod probe;
mod retry;
mod shard;
mod timeout;

use rsvp_core::{EventId, UserId};

fn user(n: impl Into<u64>) -> UserId {
    UserId::from(n.into())
}

fn event(n: impl Into<u64>) -> EventId {
    EventId::from(n.into())
}
