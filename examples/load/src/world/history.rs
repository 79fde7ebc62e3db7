//! The counts that an event can have had, and when.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rsvp::{Action, Effect};

/// How long ago a count may have been right to be recognised.
const HORIZON: Duration = Duration::from_secs(60);

/// The bounds of an event's count over time, in steps of a millisecond.
///
/// Acknowledged writes are in the count. Writes in flight may be, and so may failed ones whose effect
/// is unknown.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<Bounds>);

#[derive(Debug, Default)]
struct Bounds {
    acknowledged: i64,
    /// Writes in flight or of unknown effect that would raise the count.
    may_raise: i64,
    /// The same for those that would lower it.
    may_lower: i64,
    steps: VecDeque<Step>,
}

/// A millisecond with a change in it.
#[derive(Clone, Copy, Debug)]
struct Step {
    millisecond: u64,
    /// Every count that was possible in it.
    during: (i64, i64),
    /// The counts that were possible from its end on, until the next step.
    after: (i64, i64),
}

/// The end of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It moved the count.
    Moved,
    /// It is known to have done nothing.
    Nothing,
    /// It may have moved the count.
    Unknown,
}

impl Ended {
    pub(super) fn failed(effect: Effect) -> Self {
        if effect == Effect::NotApplied { Self::Nothing } else { Self::Unknown }
    }
}

impl History {
    /// Counts an RSVP that was there before the run.
    pub(super) fn begin_with_one_more(&self) {
        let mut bounds = self.lock();
        bounds.acknowledged += 1;
        bounds.step(Duration::ZERO);
    }

    pub(super) fn begin(&self, action: Action, now: Duration) {
        let mut bounds = self.lock();
        *bounds.uncertain(action) += 1;
        bounds.step(now);
    }

    pub(super) fn end(&self, action: Action, ended: Ended, now: Duration) {
        let mut bounds = self.lock();
        if ended != Ended::Unknown {
            *bounds.uncertain(action) -= 1;
        }
        if ended == Ended::Moved {
            bounds.acknowledged += if action == Action::Rsvp { 1 } else { -1 };
        }
        bounds.step(now);
    }

    /// How long before `began` this count was right for the last time. Zero for one that was right
    /// while the read ran.
    pub(super) fn staleness(&self, count: u64, began: Duration) -> Duration {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let within = |(low, high): (i64, i64)| (low..=high).contains(&count);
        let bounds = self.lock();
        let mut until = Duration::MAX;
        for step in bounds.steps.iter().rev() {
            let begin = Duration::from_millis(step.millisecond);
            if within(step.after) {
                break;
            }
            until = until.min(begin + Duration::from_millis(1));
            if within(step.during) {
                break;
            }
            until = begin;
        }
        if bounds.steps.is_empty() && count != 0 {
            until = Duration::ZERO;
        }
        began.saturating_sub(until)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Bounds> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bounds {
    fn uncertain(&mut self, action: Action) -> &mut i64 {
        match action {
            Action::Rsvp => &mut self.may_raise,
            Action::Cancel => &mut self.may_lower,
        }
    }

    /// Keeps the bounds as they are from now on.
    fn step(&mut self, now: Duration) {
        let millisecond = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let after = (self.acknowledged - self.may_lower, self.acknowledged + self.may_raise);
        let union = |one: (i64, i64), other: (i64, i64)| (one.0.min(other.0), one.1.max(other.1));
        match self.steps.back_mut() {
            Some(last) if last.millisecond >= millisecond => {
                last.during = union(last.during, after);
                last.after = after;
            }
            last => {
                // An event without a step has no RSVP.
                let during = union(last.map_or((0, 0), |last| last.after), after);
                self.steps.push_back(Step { millisecond, during, after });
            }
        }
        let horizon = u64::try_from(HORIZON.as_millis()).unwrap_or(u64::MAX);
        while self.steps.front().is_some_and(|first| first.millisecond + horizon < millisecond) {
            self.steps.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millisecond: u64) -> Duration {
        Duration::from_millis(millisecond)
    }

    /// RSVPs that begin and end at 10, 20 and 30 ms.
    fn three() -> History {
        let history = History::default();
        for time in [10, 20, 30] {
            history.begin(Action::Rsvp, at(time));
            history.end(Action::Rsvp, Ended::Moved, at(time));
        }
        history
    }

    #[test]
    fn a_count_with_all_acknowledged_writes_is_not_stale() {
        assert_eq!(three().staleness(3, at(500)), Duration::ZERO);
    }

    #[test]
    fn a_count_without_the_last_write_is_as_old_as_that_write() {
        assert_eq!(three().staleness(2, at(500)), at(500 - 31));
        assert_eq!(three().staleness(1, at(500)), at(500 - 21));
    }

    #[test]
    fn a_count_that_was_never_right_is_older_than_the_run() {
        assert_eq!(three().staleness(9, at(500)), at(490));
        assert_eq!(History::default().staleness(1, at(500)), at(500));
    }

    #[test]
    fn a_write_in_flight_may_be_in_the_count() {
        let history = three();
        history.begin(Action::Rsvp, at(40));
        assert_eq!([3, 4].map(|count| history.staleness(count, at(90))), [Duration::ZERO; 2]);
        history.end(Action::Rsvp, Ended::Nothing, at(100));
        assert_eq!(history.staleness(4, at(200)), at(200 - 101));
    }

    #[test]
    fn a_write_of_unknown_effect_may_be_in_the_count_for_good() {
        let history = three();
        history.begin(Action::Cancel, at(40));
        history.end(Action::Cancel, Ended::Unknown, at(50));
        assert_eq!([2, 3].map(|count| history.staleness(count, at(900))), [Duration::ZERO; 2]);
    }

    #[test]
    fn a_change_during_the_read_leaves_both_counts_fresh() {
        let history = three();
        assert_eq!(history.staleness(2, at(25)), Duration::ZERO);
    }
}
