//! A refresh: one read of the store for all waiting callers.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::entry::Entry;
use super::refresh_room::RefreshPermit;
use super::table::Table;
use crate::backend::{check_answer_count, fail_all};
use crate::layers::timeout::GRACE;
use crate::{Count, Deadline, Effect, Error, EventId, Operation, ReadOptions, Result, RsvpStore};

/// The greatest duration of a refresh.
/// The timeouts of the inner store are usually shorter.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(10);

/// The least time of a refresh, for a caller with an early deadline.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(250);

/// Returns the deadline of a refresh for a caller with this deadline.
///
/// If one shard of a sharded store hangs, the store answers the events
/// of the other shards at the deadline.
/// So a refresh of several events ends with its caller.
/// If it did not end by then, the next one has the full time, apart from other events,
/// because the store may need longer than its callers wait.
pub(super) fn deadline_of_refresh(caller: Option<Deadline>, apart: bool) -> Deadline {
    let longest = Deadline::after(REFRESH_TIMEOUT);
    let shortest = Deadline::after(SHORTEST_TIMEOUT);
    match caller {
        Some(caller) if !apart => caller.clamp(shortest, longest),
        _ => longest,
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the store panicked, or the runtime that ran the read was shut down")]
struct Lost;

/// The end of a refresh.
#[derive(Clone, Copy, Debug)]
pub(super) struct RefreshEnd {
    pub(super) deadline: Deadline,
    /// Whether the deadline is that of its caller.
    pub(super) hurried: bool,
}

/// A refresh of counts. It holds the refresh locks of their entries.
/// Dropping it releases them and wakes the waiting callers.
#[derive(Debug)]
pub(super) struct Refresh {
    table: Arc<Table>,
    entries: Vec<Arc<Entry>>,
    /// Cancelled at the end. The waiting callers wait for this.
    done: CancellationToken,
    end: RefreshEnd,
    /// Whether it runs on a task. A refresh in its caller has no timers, and may be dropped.
    on_task: bool,
    recorded: bool,
    permit: RefreshPermit,
}

impl Refresh {
    /// Takes over the refresh locks of entries. Their waiting callers wait for `done`.
    pub(super) fn new(
        table: Arc<Table>,
        entries: Vec<Arc<Entry>>,
        done: CancellationToken,
        end: RefreshEnd,
        permit: RefreshPermit,
    ) -> Self {
        let on_task = Handle::try_current().is_ok();
        Self { table, entries, done, end, on_task, recorded: false, permit }
    }

    /// Reads the counts in one call of the store, and records them.
    pub(super) async fn run<S: RsvpStore>(mut self, store: Arc<S>) {
        // 1. Keep the writes of these events out.
        //    Writes that do not leave in time stay inside.
        if self.on_task {
            self.close_fences().await;
        }
        // 2. Read the counts, between two ticks.
        let events: Vec<EventId> = self.entries.iter().map(|entry| entry.event().clone()).collect();
        // One read stands for many callers.
        // Mark it as queued, because the number of refreshes is bounded.
        let options = ReadOptions::strong().with_deadline(self.end.deadline).with_queued();
        let read = self.table.begin_read();
        let call = store.rsvp_count_batch(&events, &options);
        let answer = if self.on_task { self.bounded(call).await } else { call.await };
        let ended = self.table.clock.tick();
        let answer = answer.and_then(|counts| {
            check_answer_count(Operation::RsvpCount, events.len(), counts.len())?;
            Ok(counts)
        });
        // 3. Record the results before the first waiting caller wakes up, and
        //    before a write enters.
        let results = answer.unwrap_or_else(|error| fail_all(events.len(), &error));
        for (entry, result) in self.entries.iter().zip(results) {
            match result {
                Ok(count) => entry.record_read(count, &read, ended),
                // The deadline of a hasty caller says nothing about the store.
                // Neither does a wait for a turn until then.
                Err(Error::TimedOut { .. } | Error::Overloaded { .. })
                    if self.end.hurried && self.end.deadline.has_passed() =>
                {
                    entry.hurry();
                }
                Err(error) => entry.fail(&error, ended),
            }
        }
        self.recorded = true;
    }

    /// Closes the fences in the order of the events.
    /// Writes enter them in the same order, so there is no deadlock.
    async fn close_fences(&self) {
        let fenced_by = Deadline::after(self.table.fence_timeout).instant();
        for entry in &self.entries {
            if timeout_at(fenced_by, entry.close_fence()).await.is_err() {
                entry.open_fence();
            }
        }
    }

    /// Waits for the read.
    /// If it hangs, this opens the fences, leaves the room to quick reads,
    /// and drops the read soon after its deadline.
    async fn bounded(
        &mut self,
        call: impl Future<Output = Result<Vec<Result<Count>>>>,
    ) -> Result<Vec<Result<Count>>> {
        let began = Instant::now();
        let mut call = pin!(call);
        // 1. Wait with closed fences.
        if let Ok(answer) = timeout(self.table.fence_timeout, &mut call).await {
            return answer;
        }
        // 2. Let the writes in. The read goes on beside the slow ones, or ends if these are too many.
        self.entries.iter().for_each(|entry| entry.open_fence());
        let slow = async {
            match select(&mut call, pin!(self.permit.slow_down())).await {
                Either::Left((answer, _)) => return answer,
                Either::Right((moved, _)) => moved?,
            }
            call.await
        };
        timeout_at(self.end.deadline.instant() + GRACE, slow).await.unwrap_or_else(|_| {
            let waited = began.elapsed();
            Err(Error::timed_out(Operation::RsvpCount, waited, Effect::NotApplied))
        })
    }
}

impl Drop for Refresh {
    fn drop(&mut self) {
        // A task that ends early fails its waiting callers.
        // Otherwise they would begin the same refresh again, one after another.
        // A refresh dropped by its caller is left to the next caller.
        if self.on_task && !self.recorded {
            let ended = self.table.clock.tick();
            let source = Some(Lost.into());
            let lost = Error::unavailable(Operation::RsvpCount, Effect::NotApplied, source);
            self.entries.iter().for_each(|entry| entry.fail(&lost, ended));
        }
        self.entries.iter().for_each(|entry| entry.end_refresh());
        self.done.cancel();
    }
}
