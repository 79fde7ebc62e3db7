//! The one read of the store that refreshes counts, for all who wait for them.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::entry::Entry;
use super::table::Table;
use crate::backend::{check_answer_count, fail_all};
use crate::layers::timeout::GRACE;
use crate::{Count, Deadline, Effect, Error, EventId, Operation, ReadOptions, Result, RsvpStore};

/// How long a refresh may take. The timeouts of the store inside are usually shorter.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a refresh may take at least, however early the deadline of its caller is.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(250);

/// The deadline of a refresh for a caller with this one.
///
/// A store of shards of which one hangs answers the others at the deadline. So a refresh of events
/// that may live anywhere ends with its caller. If one did not end by then, the next one has the
/// full time, apart from other events: the store may need longer than its callers wait.
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

/// A refresh of counts whose refresh locks it holds. Dropped, it releases them and wakes up those
/// who wait.
#[derive(Debug)]
pub(super) struct Refresh {
    table: Arc<Table>,
    entries: Vec<Arc<Entry>>,
    /// Those who wait for the refresh wait for this.
    done: CancellationToken,
    deadline: Deadline,
    /// Whether the deadline is that of its caller.
    hurried: bool,
    /// Whether it runs on a task. A refresh in its caller has no timers, and may be dropped.
    on_task: bool,
    recorded: bool,
    _permit: Option<Arc<OwnedSemaphorePermit>>,
}

impl Refresh {
    /// Takes over the refresh locks of entries whose waiters wait for `done`.
    pub(super) fn new(
        table: Arc<Table>,
        entries: Vec<Arc<Entry>>,
        done: CancellationToken,
        deadline: Deadline,
        permit: Option<Arc<OwnedSemaphorePermit>>,
    ) -> Self {
        let on_task = Handle::try_current().is_ok();
        let hurried = deadline < Deadline::after(REFRESH_TIMEOUT);
        let (recorded, _permit) = (false, permit);
        Self { table, entries, done, deadline, hurried, on_task, recorded, _permit }
    }

    /// Reads the counts in one call of the store, and records them.
    pub(super) async fn run<S: RsvpStore>(mut self, store: Arc<S>) {
        // 1. Keep the writes of these events out, or as many as leave in time.
        if self.on_task {
            self.close_fences().await;
        }
        // 2. Read, between two ticks.
        let events: Vec<EventId> = self.entries.iter().map(|entry| entry.event().clone()).collect();
        // One read stands for many callers, whose number of reads is bounded.
        let options = ReadOptions::strong().with_deadline(self.deadline).with_queued();
        let read = self.table.begin_read();
        let call = store.rsvp_count_batch(&events, &options);
        let answer = if self.on_task { self.bounded(call).await } else { call.await };
        let ended = self.table.clock.tick();
        let answer = answer.and_then(|counts| {
            check_answer_count(Operation::RsvpCount, events.len(), counts.len())?;
            Ok(counts)
        });
        // 3. Every entry has to know before the first waiter wakes up, and before a write enters.
        let results = answer.unwrap_or_else(|error| fail_all(events.len(), &error));
        for (entry, result) in self.entries.iter().zip(results) {
            match result {
                Ok(count) => entry.record_read(count, &read, ended),
                // That one caller was in a hurry says nothing of the store.
                Err(Error::TimedOut { .. }) if self.hurried && self.deadline.has_passed() => {
                    entry.hurry();
                }
                Err(error) => entry.fail(&error, ended),
            }
        }
        self.recorded = true;
    }

    /// In the order of the events, as writes enter them, so that the two never wait for each other.
    async fn close_fences(&self) {
        let fenced_by = Deadline::after(self.table.fence_timeout).instant();
        for entry in &self.entries {
            if timeout_at(fenced_by, entry.close_fence()).await.is_err() {
                entry.open_fence();
            }
        }
    }

    /// Waits for the read. If it hangs, the fences are opened, and it is dropped soon after its
    /// deadline.
    async fn bounded(
        &self,
        call: impl Future<Output = Result<Vec<Result<Count>>>>,
    ) -> Result<Vec<Result<Count>>> {
        let began = Instant::now();
        let mut call = pin!(call);
        if let Ok(answer) = timeout(self.table.fence_timeout, &mut call).await {
            return answer;
        }
        self.entries.iter().for_each(|entry| entry.open_fence());
        timeout_at(self.deadline.instant() + GRACE, call).await.unwrap_or_else(|_| {
            let waited = began.elapsed();
            Err(Error::timed_out(Operation::RsvpCount, waited, Effect::NotApplied))
        })
    }
}

impl Drop for Refresh {
    fn drop(&mut self) {
        // A task that ends early fails its waiters. They would begin the same again, one after
        // another. A caller that has gone leaves the refresh to the next one.
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
