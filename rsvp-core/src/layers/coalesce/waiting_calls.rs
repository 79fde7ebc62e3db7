//! The waiting calls of a read queue, and the order in which batches take them.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::Span;

use super::call_progress::CallProgress;
use super::read_queue::{Answered, Batch};
use crate::Consistency;

/// A queued call.
pub(super) struct Call<B: Batch + ?Sized> {
    pub(super) entries: Vec<B::Entry>,
    /// The required freshness of the answer.
    pub(super) freshness: Consistency,
    pub(super) progress: Option<CallProgress>,
    /// The span of the caller.
    pub(super) caller: Span,
    pub(super) reply: oneshot::Sender<Answered<B>>,
}

impl<B: Batch> Call<B> {
    /// Returns whether the caller has gone, or its deadline has passed.
    fn is_unwanted(&self, now: Instant) -> bool {
        self.reply.is_closed() || self.has_less_than(Duration::ZERO, now)
    }

    /// Returns whether at most this time is left until the deadline.
    fn has_less_than(&self, time: Duration, now: Instant) -> bool {
        let deadline = self.progress.as_ref().map(|progress| progress.deadline.instant());
        deadline.is_some_and(|deadline| deadline.saturating_duration_since(now) <= time)
    }
}

/// The calls that wait for a batch, the oldest first.
pub(super) struct WaitingCalls<B: Batch> {
    calls: VecDeque<Call<B>>,
    /// The duration of the batch that ended last.
    lasted: Duration,
}

impl<B: Batch> Default for WaitingCalls<B> {
    fn default() -> Self {
        Self { calls: VecDeque::new(), lasted: Duration::ZERO }
    }
}

/// Calls taken from the queue.
pub(super) struct Taken<B: Batch> {
    pub(super) batch: Vec<Call<B>>,
    /// The calls whose callers have gone, or whose deadlines have passed.
    pub(super) unwanted: Vec<Call<B>>,
}

/// The order in which a batch takes calls.
///
/// A batch begins with the oldest call.
/// At overload this has little time left, and a batch of such calls would be too late for all.
/// So from the first call that is probably late, the batch goes on with the newest calls
/// (adaptive LIFO, Ben Maurer, "Fail at Scale", ACM Queue 13(8), 2015).
#[derive(Clone, Copy, PartialEq)]
enum Order {
    OldestFirst,
    NewestFirst,
}

impl<B: Batch> WaitingCalls<B> {
    pub(super) fn push(&mut self, call: Call<B>) {
        self.calls.push_back(call);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Records the duration of a batch.
    pub(super) fn record_batch(&mut self, lasted: Duration) {
        self.lasted = lasted;
    }

    /// Takes calls with at most this number of entries, and at least one call if there is any.
    /// Calls that nobody waits for take no place in the batch.
    pub(super) fn take_batch(&mut self, now: Instant, max_batch: usize) -> Taken<B> {
        let (mut batch, mut unwanted, mut entries) = (Vec::new(), Vec::new(), 0);
        let (mut order, expected) = (Order::OldestFirst, self.lasted + self.lasted / 2);
        while let Some(call) = self.peek(order) {
            let with_call = entries + call.entries.len();
            if call.is_unwanted(now) {
                unwanted.extend(self.pop(order));
            } else if order == Order::OldestFirst && call.has_less_than(expected, now) {
                order = Order::NewestFirst;
            } else if batch.is_empty() || with_call <= max_batch {
                entries = with_call;
                batch.extend(self.pop(order));
            } else {
                break;
            }
        }
        Taken { batch, unwanted }
    }

    pub(super) fn take_all(&mut self) -> VecDeque<Call<B>> {
        std::mem::take(&mut self.calls)
    }

    fn peek(&self, order: Order) -> Option<&Call<B>> {
        match order {
            Order::OldestFirst => self.calls.front(),
            Order::NewestFirst => self.calls.back(),
        }
    }

    fn pop(&mut self, order: Order) -> Option<Call<B>> {
        match order {
            Order::OldestFirst => self.calls.pop_front(),
            Order::NewestFirst => self.calls.pop_back(),
        }
    }
}
