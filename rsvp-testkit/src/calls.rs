//! Batch calls for tests, with an answer for every entry.

use std::fmt::Debug;

use rsvp_core::{
    EventId, Outcome, ReadOptions, Result, Rsvp, RsvpStore, SessionToken, Write, WriteOptions,
};

/// Applies a batch, and returns the outcome of every write and the token.
pub(crate) async fn outcomes_and_token(
    store: &dyn RsvpStore,
    writes: &[Write],
) -> (Vec<Outcome>, SessionToken) {
    let receipt = store.write_batch(writes, &WriteOptions::default()).await.unwrap();
    let outcomes = receipt.outcomes().unwrap();
    assert_eq!(outcomes.len(), writes.len(), "one result for each write");
    (outcomes, receipt.token)
}

/// Applies a batch, and returns the outcome of every write.
pub(crate) async fn outcomes_of(store: &dyn RsvpStore, writes: &[Write]) -> Vec<Outcome> {
    outcomes_and_token(store, writes).await.0
}

/// Reads strongly whether pairs exist.
pub(crate) async fn presence_of(store: &dyn RsvpStore, pairs: &[Rsvp]) -> Vec<bool> {
    let answers = all(store.has_rsvped_batch(pairs, &ReadOptions::strong()).await);
    assert_eq!(answers.len(), pairs.len(), "one answer for each pair");
    answers
}

/// Counts events at strong consistency.
pub(crate) async fn counts_of(store: &dyn RsvpStore, events: &[EventId]) -> Vec<u64> {
    counts_at(store, events, &ReadOptions::strong()).await
}

/// Counts events with options.
pub(crate) async fn counts_at(
    store: &dyn RsvpStore,
    events: &[EventId],
    options: &ReadOptions,
) -> Vec<u64> {
    let counts = all(store.rsvp_count_batch(events, options).await);
    assert_eq!(counts.len(), events.len(), "one count for each event");
    counts.into_iter().map(|count| count.value).collect()
}

/// Returns the answers of a batch without failed entries.
pub(crate) fn all<A>(answers: Result<Vec<Result<A>>>) -> Vec<A> {
    answers.unwrap().into_iter().map(Result::unwrap).collect()
}

/// Returns the error of a batch in which every entry has failed: the first one
/// if each entry has its own.
pub(crate) fn refusal<A: Debug>(answers: Result<Vec<Result<A>>>) -> Result<()> {
    let mut errors = answers?.into_iter().map(|answer| answer.expect_err("an entry that fails"));
    errors.next().map_or(Ok(()), Err)
}
