//! What each wrapper promises beyond the contract, which `conformance` checks.

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
mod limit;
mod observe;
mod overload;
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
