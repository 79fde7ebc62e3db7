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
    /// May be below zero for a moment, when two writes of a pair are told in the wrong order.
    value: i64,
    /// How old it was already when the read began, which was at `read_at`.
    age: Duration,
    read_at: Instant,
    began: Tick,
    ended: Tick,
    /// Every write through this cache is known to be in it or not, and those that are not have
    /// been added.
    settled: bool,
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
    /// How many reads in a row were made because what was known was not settled.
    hasty: u32,
    /// When the count last changed through this cache, or may have.
    changed: Tick,
    /// Why the last read failed, if it did, and when.
    failure: Option<(Tick, Instant, Error)>,
}

/// What one caller will take for an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    /// When the call began. A read that began later is as good as the caller's own.
    pub(super) asked: Tick,
    /// How old an answer from before may be.
    pub(super) bound: Duration,
    /// How old it may be if some write is neither known to be in it nor known not to be.
    pub(super) unsettled_bound: Duration,
    /// How old it may be while the store fails.
    pub(super) stale_bound: Option<Duration>,
    /// Since when counts may have changed in ways that are not known: nothing that was read
    /// before is an answer.
    pub(super) not_before: Tick,
}

/// What a write has made of the count of an event.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    By(i64),
    /// It failed, or nobody waited to see what became of it.
    Unknown,
}

/// The count of one event.
#[derive(Debug, Default)]
pub(super) struct Entry {
    state: Mutex<State>,
    /// Held by whoever reads the count from the store.
    pub(super) turn: Arc<AsyncMutex<()>>,
    /// Shared by writers of the event, held alone while the count is read: so that a read and a
    /// write overlap only where one of them has lost patience.
    pub(super) gate: Arc<RwLock<()>>,
}

impl Entry {
    /// The count from memory, if it will do.
    pub(super) fn answer(&self, question: &Question) -> Option<Count> {
        let state = self.state();
        let known = state.known?;
        if known.began > question.asked {
            return Some(known.aged(known.age));
        }
        let age = known.age();
        let bound = match known.settled {
            true => Some(question.bound),
            // Read again at once, as a rule: whoever began to write since then has waited.
            false if state.hasty < MAX_HASTY => None,
            false => Some(question.unsettled_bound),
        };
        if bound.is_some_and(|bound| age <= bound) && known.began > question.not_before {
            return Some(known.aged(age));
        }
        // While the store is down not every caller tries it again.
        let failing = state.failure.as_ref().is_some_and(|(_, at, _)| at.elapsed() < PAUSE);
        if failing { stale(known, question) } else { None }
    }

    /// What came of the read that the caller has been waiting for: an answer after all, or why
    /// there is none. `None` if there was no such read.
    pub(super) fn outcome(&self, question: &Question) -> Option<Result<Count, Error>> {
        if let Some(count) = self.answer(question) {
            return Some(Ok(count));
        }
        let state = self.state();
        let (_, _, error) = state.failure.as_ref().filter(|(tick, ..)| *tick > question.asked)?;
        Some(Err(error.clone()))
    }

    /// The store said `count` to a question that was put between two ticks.
    pub(super) fn learn(
        &self,
        count: Count,
        question: &Question,
        read_at: Instant,
        (began, ended): (Tick, Tick),
    ) {
        let mut state = self.state();
        state.hasty = match &state.known {
            Some(known) if known.age() <= question.bound => state.hasty.saturating_add(1),
            _ => 0,
        };
        let settled = state.changed < began;
        let value = i64::try_from(count.value).unwrap_or(i64::MAX);
        let known = Known { value, age: count.age, read_at, began, ended, settled };
        state.known = Some(known);
        state.failure = None;
    }

    /// The store could not say. Answers the last count instead, if that will do.
    pub(super) fn fail(&self, error: &Error, tick: Tick, question: &Question) -> Option<Count> {
        let mut state = self.state();
        state.failure = Some((tick, Instant::now(), error.clone()));
        state.known.filter(|_| error.is_retryable()).and_then(|known| stale(known, question))
    }

    /// A write that began at the tick `began` is over at `ended`.
    pub(super) fn change(&self, change: Change, began: Tick, ended: Tick) {
        let mut state = self.state();
        state.changed = ended;
        let Some(known) = &mut state.known else { return };
        match change {
            // What is added to a count that may have it already would be a count that never was.
            Change::By(by) if known.settled && began > known.ended => known.value += by,
            _ => known.settled = false,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that panics runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often an unsettled count is read again at once. Then it is served for as long as its own
/// bound allows: under writers that are slower than anybody's patience no read is ever settled.
const MAX_HASTY: u32 = 8;

/// For how long after a failure the store is not asked again, as long as there is an old count.
const PAUSE: Duration = Duration::from_secs(1);

fn stale(known: Known, question: &Question) -> Option<Count> {
    let age = known.age();
    question.stale_bound.filter(|bound| age <= *bound).map(|_| known.aged(age))
}
