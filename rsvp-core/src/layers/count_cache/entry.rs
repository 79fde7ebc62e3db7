//! What is known of the count of one event, and when it was true.
//!
//! Two clocks are kept apart. *Moments* ([`Instant`]) say how old a count is. *Ticks* say what came
//! before what: a write that was over before a read of the store began is in what that read
//! returned, one that began after the read had ended is not, and of one that overlaps it nobody
//! can tell.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, RwLock};
use tokio::time::Instant;

use crate::{Count, Error};

/// A place in the order of what happens to a cache.
pub(super) type Tick = u64;

/// A count that was read from the store.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// Below zero if others have written what is not in it, or if two writes of a pair were told
    /// in the wrong order.
    value: i64,
    /// How old it was already when the read began, which was at `read_at`.
    age: Duration,
    read_at: Instant,
    began: Tick,
    ended: Tick,
    validity: Validity,
}

/// What is known of the writes through this cache.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Validity {
    /// Each is known to be in the count or not, and those that are not have been added.
    Exact,
    /// Some may be in it or not; nobody was told what became of them.
    Ambiguous,
    /// It may lack one that was acknowledged.
    Stale,
}

impl Known {
    fn aged(&self, age: Duration) -> Count {
        Count::aged(u64::try_from(self.value).unwrap_or(0), age)
    }

    fn age(&self) -> Duration {
        self.read_at.elapsed().saturating_add(self.age)
    }
}

#[derive(Debug, Default)]
struct State {
    known: Option<Known>,
    /// When the count last changed through this cache, or may have.
    changed: Tick,
    /// When a write of the event was last acknowledged.
    acknowledged: Tick,
    /// Until when a write that has failed may still take effect.
    pending_until: Option<Instant>,
    /// Why the last read failed, if it did, and when.
    failure: Option<(Tick, Instant, Error)>,
}

impl State {
    /// Whether the last read failed with what is worth repeating, no longer ago than this.
    fn failed_within(&self, time: Duration) -> bool {
        let failure = self.failure.as_ref();
        failure.is_some_and(|(_, at, error)| error.is_retryable() && at.elapsed() < time)
    }
}

/// The counts that one caller accepts.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadRequest {
    /// When the call began. A read that began later is as good as the caller's own.
    pub(super) asked: Tick,
    /// How old an answer from before may be.
    pub(super) bound: Duration,
    /// How old it may be if there is a write that may be in it or not.
    pub(super) ambiguous_bound: Duration,
    /// How old it may be while the store fails.
    pub(super) stale_bound: Option<Duration>,
    /// Since when counts may have changed in ways that are not known: nothing that was read
    /// before is an answer.
    pub(super) not_before: Tick,
}

/// What a call that writes has made of the count of an event.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    /// Some of it was applied, which adds up to so much. A sum of zero is a change as well: a read
    /// may have seen a part of it.
    Applied(i64),
    /// It was acknowledged, and there was nothing to do.
    Unchanged,
    /// It was acknowledged, and may have changed the count by more than it says.
    Uncounted,
    /// It failed, or nobody waited to see what became of it.
    Unknown,
}

/// The count of one event.
#[derive(Debug, Default)]
pub(super) struct Entry {
    state: Mutex<State>,
    /// Held by whoever reads the count from the store.
    pub(super) refresh_lock: Arc<AsyncMutex<()>>,
    /// Shared by writers of the event, held alone while the count is read. So a read and a write
    /// overlap only after the fence timeout of one of them.
    pub(super) fence: Arc<RwLock<()>>,
}

impl Entry {
    /// The count from memory, if it will do.
    pub(super) fn answer(&self, request: &ReadRequest) -> Option<Count> {
        let state = self.state();
        let known = state.known?;
        if known.began > request.asked {
            return Some(known.aged(known.age));
        }
        let age = known.age();
        let bound = match known.validity {
            Validity::Exact => Some(request.bound),
            Validity::Ambiguous => Some(request.ambiguous_bound),
            Validity::Stale => None,
        };
        if bound.is_some_and(|bound| age <= bound) && known.began > request.not_before {
            return Some(known.aged(age));
        }
        // While the store is down not every caller tries it again.
        if state.failed_within(RETRY_AFTER) { stale(known, request) } else { None }
    }

    /// An old count for whoever would otherwise wait until somebody else has read it: while the
    /// store is down that may take as long as it takes to fail.
    pub(super) fn stale_while_error(&self, request: &ReadRequest) -> Option<Count> {
        let state = self.state();
        state
            .known
            .filter(|_| state.failed_within(FAILURE_MEMORY))
            .and_then(|known| stale(known, request))
    }

    /// An old count for a caller whose deadline has passed.
    pub(super) fn last_resort(&self, request: &ReadRequest) -> Option<Count> {
        self.state().known.and_then(|known| stale(known, request))
    }

    /// What came of the read that the caller has been waiting for: an answer after all, or why
    /// there is none. `None` if there was no such read.
    pub(super) fn outcome(&self, request: &ReadRequest) -> Option<Result<Count, Error>> {
        if let Some(count) = self.answer(request) {
            return Some(Ok(count));
        }
        let state = self.state();
        let (_, _, error) = state.failure.as_ref().filter(|(tick, ..)| *tick > request.asked)?;
        Some(Err(error.clone()))
    }

    /// Records a count that the store returned to a read between two ticks.
    pub(super) fn record_read(&self, count: Count, read_at: Instant, began: Tick, ended: Tick) {
        let mut state = self.state();
        let pending = state.pending_until.is_some_and(|until| read_at < until);
        let validity = match (state.changed < began, state.acknowledged < began) {
            (true, _) if pending => Validity::Ambiguous,
            (true, _) => Validity::Exact,
            (false, true) => Validity::Ambiguous,
            (false, false) => Validity::Stale,
        };
        let value = i64::try_from(count.value).unwrap_or(i64::MAX);
        let known = Known { value, age: count.age, read_at, began, ended, validity };
        state.known = Some(known);
        state.failure = None;
    }

    /// The store could not say. Answers the last count instead, if that will do.
    pub(super) fn fail(&self, error: &Error, tick: Tick, request: &ReadRequest) -> Option<Count> {
        let mut state = self.state();
        state.failure = Some((tick, Instant::now(), error.clone()));
        state.known.filter(|_| error.is_retryable()).and_then(|known| stale(known, request))
    }

    /// A write has failed, and may still take effect until this moment.
    pub(super) fn pend(&self, until: Instant) {
        let mut state = self.state();
        state.pending_until = state.pending_until.max(Some(until));
    }

    /// A write that began at the tick `began` is over at `ended`.
    pub(super) fn change(&self, change: Change, began: Tick, ended: Tick) {
        let mut state = self.state();
        // Of two that end at once the later one may get here first.
        if !matches!(change, Change::Unknown) {
            state.acknowledged = state.acknowledged.max(ended);
        }
        if !matches!(change, Change::Unchanged) {
            state.changed = state.changed.max(ended);
        }
        let Some(known) = &mut state.known else { return };
        let exact = known.validity == Validity::Exact;
        match change {
            Change::Unchanged if exact => {}
            // What is added to a count that may have it already would be a count that never was.
            Change::Applied(by) if exact && began > known.ended => {
                known.value = known.value.saturating_add(by);
                if known.value < 0 {
                    known.validity = Validity::Stale;
                }
            }
            Change::Applied(_) | Change::Unchanged | Change::Uncounted => {
                known.validity = Validity::Stale;
            }
            Change::Unknown if exact => known.validity = Validity::Ambiguous,
            Change::Unknown => {}
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that panics runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For how long after a failure the store is not asked again, as long as there is an old count.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// For how long after a failure the next attempt is taken to fail as well, until it has not. More
/// than an attempt should take.
const FAILURE_MEMORY: Duration = Duration::from_secs(10);

fn stale(known: Known, request: &ReadRequest) -> Option<Count> {
    let age = known.age();
    request.stale_bound.filter(|bound| age <= *bound).map(|_| known.aged(age))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(asked: Tick) -> ReadRequest {
        let second = Duration::from_secs(1);
        ReadRequest {
            asked,
            bound: second,
            ambiguous_bound: Duration::ZERO,
            stale_bound: None,
            not_before: 0,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_writes_that_end_at_once_the_later_one_is_not_forgotten() {
        let entry = Entry::default();
        // A read from 11 to 13. One write was over before it, the other was not.
        entry.change(Change::Applied(1), 8, 12);
        entry.change(Change::Applied(1), 9, 10);
        entry.record_read(Count::fresh(1), Instant::now(), 11, 13);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(entry.answer(&request(14)).is_none(), "it may lack the one that ended at 12");
    }
}
