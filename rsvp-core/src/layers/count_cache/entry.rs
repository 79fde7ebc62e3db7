//! The cache entry of one event, and the single flight of its refreshes.
//!
//! A caller without an answer from memory asks its entry for its [next step](Entry::next):
//!
//! 1. It takes an answer that has come meanwhile.
//! 2. It takes an old count, if the store fails and the caller's settings allow it.
//! 3. It takes the error of the refresh for which it waited.
//! 4. It waits for the refresh in flight, or takes the refresh lock and refreshes the count itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::cached_count::{Cached, Written};
use super::caller::{Bounds, Caller, Next};
use super::clock::{BegunRead, Tick};
use super::snapshot::{Counted, Snapshot};
use super::validity::Validity;
use super::write_fence::{Fence, Place};
use crate::{Count, Error, EventId, SessionToken};

#[derive(Debug, Default)]
struct State {
    cached: Cached,
    /// The error of the last refresh, if it failed, with its tick and moment.
    failure: Option<(Tick, Instant, Error)>,
    /// Whether the last refresh did not end by the deadline of its caller.
    /// This says nothing about the store.
    hurried: bool,
    /// The refresh in flight, of which there is one at most (single flight).
    /// It is cancelled at its end.
    refresh: Option<CancellationToken>,
    fence: Fence,
    /// Whether the table has dropped the entry.
    /// Writes that end later look for the next entry of the event.
    evicted: bool,
}

impl State {
    /// Returns whether the last refresh failed with a retryable error within this time.
    fn failed_within(&self, time: Duration) -> bool {
        let failure = self.failure.as_ref();
        failure.is_some_and(|(_, at, error)| error.is_retryable() && at.elapsed() < time)
    }
}

/// The time after a failure in which the store is not asked again, if there is an old count.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The time after a failure in which a refresh in flight is expected to fail as well.
/// It is longer than an attempt should take.
const FAILURE_MEMORY: Duration = Duration::from_secs(10);

/// The cache entry of one event.
#[derive(Debug)]
pub(super) struct Entry {
    event: EventId,
    epoch: Instant,
    snapshot: Snapshot,
    /// Whether the entry was used since the eviction hand last passed.
    touched: AtomicBool,
    state: Mutex<State>,
    /// Notifies the refresh that waits at the closed fence.
    drained: Notify,
}

impl Entry {
    pub(super) fn new(event: EventId, epoch: Instant) -> Self {
        let (snapshot, touched) = (Snapshot::default(), AtomicBool::new(false));
        Self { event, epoch, snapshot, touched, state: Mutex::default(), drained: Notify::new() }
    }

    pub(super) fn event(&self) -> &EventId {
        &self.event
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Code under the lock does not panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, counted: &Counted) -> Count {
        Count::aged(counted.value, counted.age(self.epoch))
    }

    /// Returns the count, if it is within the bounds.
    fn within(&self, counted: &Counted, bounds: &Bounds) -> Option<Count> {
        let bound = match counted.validity {
            Validity::Exact => bounds.exact,
            Validity::Ambiguous => bounds.ambiguous,
            Validity::Stale => return None,
        };
        let count = self.count(counted);
        (count.age <= bound && counted.began > bounds.not_before).then_some(count)
    }

    /// Returns an old count, for callers that accept one while the store fails.
    fn old(&self, state: &State, bounds: &Bounds) -> Option<Count> {
        let count = self.count(&state.cached.counted()?);
        bounds.stale.is_some_and(|bound| count.age <= bound).then_some(count)
    }

    /// Returns the count from memory. It takes no lock, and stores nothing that other readers load.
    pub(super) fn hit(&self, bounds: &Bounds) -> Option<Count> {
        self.touch();
        self.within(&self.snapshot.load()?, bounds)
    }

    /// Returns the count from memory, if it has every write behind the token.
    ///
    /// The token's positions must come strictly before the positions of the receipts known
    /// when the read began. Such a position belongs to a write acknowledged by then.
    /// The position of a receipt itself may also be that of another write that was not visible yet.
    pub(super) fn hit_of_session(&self, token: &SessionToken, bounds: &Bounds) -> Option<Count> {
        self.touch();
        let state = self.state();
        self.within(&state.cached.counted_for(token)?, bounds)
    }

    fn touch(&self) {
        // Usually it is set already. A load leaves the cache line to the other readers.
        if !self.touched.load(Ordering::Relaxed) {
            self.touched.store(true, Ordering::Relaxed);
        }
    }

    /// Returns whether the entry was not used since the last call, and no refresh is in flight.
    pub(super) fn is_unused(&self) -> bool {
        let touched = self.touched.load(Ordering::Relaxed);
        self.touched.store(false, Ordering::Relaxed);
        !touched && self.state().refresh.is_none()
    }

    /// Marks the beginning of records: from now on the entry is told of the writes of its event.
    pub(super) fn insert(&self, since: Tick) {
        self.state().cached.insert(since);
    }

    pub(super) fn evict(&self) {
        self.state().evicted = true;
    }

    /// Returns the next step of a caller without an answer.
    ///
    /// `refreshes` has the tokens of the refreshes that the caller has room to begin:
    /// one together with other events, and one apart from them.
    /// The entry takes one of these as its refresh lock.
    pub(super) fn next(&self, caller: &Caller, refreshes: [Option<&CancellationToken>; 2]) -> Next {
        let mut state = self.state();
        // 1. A read that began after the caller had asked is as good as the caller's own.
        if let Some(counted) = state.cached.counted() {
            if counted.began > caller.asked {
                let age = state.cached.age_when_read();
                return Next::Answer(Ok(Count::aged(counted.value, age)));
            }
            if let Some(count) = self.within(&counted, &caller.bounds) {
                return Next::Answer(Ok(count));
            }
        }
        // 2. While the store fails, only some callers try it again.
        //    If an old count will do, the others do not wait for their attempts.
        let memory = if state.refresh.is_some() { FAILURE_MEMORY } else { RETRY_AFTER };
        if state.failed_within(memory)
            && let Some(count) = self.old(&state, &caller.bounds)
        {
            return Next::Answer(Ok(count));
        }
        // 3. The failure of a refresh for which the caller has waited is its own.
        if let Some((tick, _, error)) = &state.failure
            && *tick > caller.asked
        {
            return Next::Answer(Err(error.clone()));
        }
        // 4. Single flight: wait for the refresh in flight, or take the refresh lock.
        if let Some(under_way) = &state.refresh {
            return Next::Wait(under_way.clone());
        }
        // Read an event apart from others if its last refresh failed, or did not end in time.
        let apart = state.hurried || state.failure.is_some();
        let [together, alone] = refreshes;
        let Some(refresh) = (if apart { alone } else { together }) else {
            return Next::NoRoom { apart };
        };
        state.refresh = Some(refresh.clone());
        Next::Refresh { apart }
    }

    /// Returns an old count for a caller whose deadline has passed.
    pub(super) fn last_resort(&self, bounds: &Bounds) -> Option<Count> {
        self.old(&self.state(), bounds)
    }

    /// Closes the fence, and waits until the writes inside have left.
    pub(super) async fn close_fence(&self) {
        self.state().fence.close();
        while !self.state().fence.is_empty() {
            self.drained.notified().await;
        }
    }

    pub(super) fn open_fence(&self) {
        let opens = self.state().fence.open();
        if let Some(opens) = opens {
            opens.cancel();
        }
    }

    /// Releases the refresh lock, and opens the fence.
    pub(super) fn end_refresh(&self) {
        let mut state = self.state();
        state.refresh = None;
        let opens = state.fence.open();
        drop(state);
        if let Some(opens) = opens {
            opens.cancel();
        }
    }

    /// Records a count of an unknown moment, seen by a caller.
    /// It may have more writes than the cached one. If the two differ, the count is read again.
    pub(super) fn doubt(&self, count: Count, ended: Tick) {
        let mut state = self.state();
        state.cached.doubt(count, ended);
        self.publish(&state);
    }

    /// Records a finished read: a refresh, or a caller's own read with the consistency
    /// of a refresh.
    pub(super) fn record_read(&self, count: Count, read: &BegunRead, ended: Tick) {
        let mut state = self.state();
        (state.failure, state.hurried) = (None, false);
        state.cached.record_read(count, read, ended, self.epoch);
        self.publish(&state);
    }

    fn publish(&self, state: &State) {
        if let Some(counted) = state.cached.counted() {
            self.snapshot.store(&counted);
        }
    }

    /// Records a failed refresh.
    pub(super) fn fail(&self, error: &Error, ended: Tick) {
        self.state().failure = Some((ended, Instant::now(), error.clone()));
    }

    /// Records a refresh that did not end by the deadline of its caller.
    /// The next one has more time.
    pub(super) fn hurry(&self) {
        self.state().hurried = true;
    }

    /// Lets a write into the fence.
    pub(super) fn enter(&self) -> Place {
        self.state().fence.enter()
    }

    /// Lets an unfinished write leave the fence.
    pub(super) fn leave(&self, place: &Place) {
        let drained = self.state().fence.leave(place);
        if drained {
            self.drained.notify_one();
        }
    }

    /// Lets a finished write leave the fence. Returns whether its change was recorded.
    /// The next entry of the event must record it if this one was dropped.
    pub(super) fn end_write(&self, place: &Place, written: &Written) -> bool {
        let mut state = self.state();
        let drained = state.fence.leave(place);
        let current = !state.evicted;
        if current {
            self.change(&mut state, written);
        }
        drop(state);
        if drained {
            self.drained.notify_one();
        }
        current
    }

    /// Records a finished write.
    pub(super) fn record_write(&self, written: &Written) {
        self.change(&mut self.state(), written);
    }

    fn change(&self, state: &mut State, written: &Written) {
        if state.cached.change(written) {
            self.publish(state);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::layers::count_cache::clock::Span;
    use crate::layers::count_cache::validity::Change;

    const BOUNDS: Bounds = Bounds {
        exact: Duration::from_secs(1),
        ambiguous: Duration::ZERO,
        stale: None,
        not_before: 0,
    };

    fn entry() -> Entry {
        let entry = Entry::new(EventId::from(1_u64), Instant::now());
        entry.insert(0);
        entry
    }

    fn read(began: Tick) -> BegunRead {
        BegunRead { at: Instant::now(), began, receipts: Arc::default() }
    }

    fn applied(began: Tick, ended: Tick) -> Written {
        let span = Span { began, ended };
        Written { change: Some(Change::Applied(1)), pending: None, span }
    }

    fn hit(entry: &Entry) -> Option<u64> {
        entry.hit(&BOUNDS).map(|count| count.value)
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_writes_that_end_at_once_the_later_one_is_not_forgotten() {
        let entry = entry();
        // A read from 11 to 13. One write was over before it, the other was not.
        entry.record_write(&applied(8, 12));
        entry.record_write(&applied(9, 10));
        entry.record_read(Count::fresh(1), &read(11), 13);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(hit(&entry), None, "it may lack the one that ended at 12");
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_from_before_the_entry_was_told_of_writes_is_not_kept() {
        let entry = entry();
        entry.insert(5);
        entry.record_read(Count::fresh(7), &read(4), 6);
        assert_eq!(hit(&entry), None);
        entry.record_read(Count::fresh(7), &read(7), 8);
        assert_eq!(hit(&entry), Some(7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_began_earlier_replaces_no_later_one() {
        let entry = entry();
        entry.record_read(Count::fresh(7), &read(5), 6);
        entry.record_read(Count::fresh(3), &read(1), 2);
        entry.record_read(Count::fresh(4), &read(3), 4);
        assert_eq!(hit(&entry), Some(7));
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_reads_at_one_time_that_differ_neither_is_kept() {
        for (first, second) in [((1, 6), (3, 8)), ((3, 8), (1, 6))] {
            let entry = entry();
            entry.record_read(Count::fresh(7), &read(first.0), first.1);
            entry.record_read(Count::fresh(8), &read(second.0), second.1);
            assert_eq!(hit(&entry), None);
            let entry = super::tests::entry();
            entry.record_read(Count::fresh(7), &read(first.0), first.1);
            entry.record_read(Count::fresh(7), &read(second.0), second.1);
            assert_eq!(hit(&entry), Some(7), "they agree");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refresh_under_way_that_saw_less_than_a_caller_is_not_kept() {
        let entry = entry();
        entry.doubt(Count::aged(8, Duration::from_millis(20)), 6);
        entry.record_read(Count::fresh(7), &read(5), 7);
        assert_eq!(hit(&entry), None);
        entry.record_read(Count::fresh(7), &read(8), 9);
        assert_eq!(hit(&entry), Some(7), "it began later");
    }
}
