//! The contract through every layer (`conformance`), and the promises of each layer beyond it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails"
)]

mod breaker;
mod closed_events;
mod coalesce;
mod coalesce_blocked;
mod coalesce_deadlines;
mod coalesce_fair;
mod coalesce_faults;
mod coalesce_lanes;
mod coalesce_late_reads;
mod coalesce_order;
mod coalesce_tokens;
mod conformance;
mod count_cache;
mod engine;
mod hooked;
mod limit;
mod observe;
mod overload;
mod overload_deadlines;
mod placement;
mod probe;
mod retry;
mod retry_entries;
mod shard;
mod shard_down;
mod shard_lists;
mod shard_placement;
mod shard_whole;
mod stack;
mod timeout;

use rsvp_core::{
    Count, EventId, Outcome, ReadOptions, Result, Rsvp, RsvpStore, UserId, Write, WriteOptions,
};

fn user(n: impl Into<u64>) -> UserId {
    UserId::from(n.into())
}

fn event(n: impl Into<u64>) -> EventId {
    EventId::from(n.into())
}

/// The outcome of every write of a batch.
async fn write_all(store: &dyn RsvpStore, writes: &[Write]) -> Result<Vec<Outcome>> {
    store.write_batch(writes, &WriteOptions::default()).await?.outcomes()
}

/// Whether each pair exists, read strongly.
async fn present(store: &dyn RsvpStore, pairs: &[Rsvp]) -> Result<Vec<bool>> {
    store.has_rsvped_batch(pairs, &ReadOptions::strong()).await?.into_iter().collect()
}

/// The count of each event.
async fn counts(
    store: &dyn RsvpStore,
    events: &[EventId],
    options: impl Into<ReadOptions>,
) -> Result<Vec<Count>> {
    store.rsvp_count_batch(events, &options.into()).await?.into_iter().collect()
}

/// The answer of a call that ends within a minute.
async fn ends<T>(call: impl Future<Output = T>) -> T {
    tokio::time::timeout(std::time::Duration::from_secs(60), call).await.expect("every call ends")
}
