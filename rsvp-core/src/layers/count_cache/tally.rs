//! The sum of one call's writes of an event.

use tokio::time::Instant;

use super::validity::Change;
use crate::{Action, Deadline, Effect, Error, Result, Written};

/// The sum and the state of the writes of an event.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    sum: i64,
    applied: bool,
    acknowledged: bool,
    /// Whether the count may have changed by more than the answers say.
    uncounted: bool,
    /// Whether a write failed, or was dropped, with unknown effect.
    unknown: bool,
    /// The latest moment at which a failed write may still take effect.
    pub(super) pending: Option<Instant>,
}

impl Tally {
    /// Makes the tally of a write without an answer.
    pub(super) fn unknown() -> Self {
        Self { unknown: true, ..Self::default() }
    }

    /// Makes the tally of a removal.
    /// A removal does not count RSVPs removed by an attempt before or by others.
    pub(super) fn uncounted() -> Self {
        Self { acknowledged: true, uncounted: true, ..Self::default() }
    }

    /// Makes the tally of a call that failed as a whole.
    pub(super) fn failed(error: &Error) -> Self {
        let mut tally = Self::default();
        tally.add_failure(error);
        tally
    }

    pub(super) fn add(&mut self, action: Action, result: &Result<Written>) {
        match result {
            Ok(written) => {
                self.acknowledged = true;
                // An attempt before may have changed the count.
                self.uncounted |= written.repeated;
                if written.outcome.is_applied() {
                    self.applied = true;
                    self.sum += if action == Action::Rsvp { 1 } else { -1 };
                }
            }
            Err(error) => self.add_failure(error),
        }
    }

    fn add_failure(&mut self, error: &Error) {
        self.unknown |= error.effect() != Effect::NotApplied;
        self.pending = self.pending.max(error.retry_at().map(Deadline::instant));
    }

    /// Marks the tally: the count may have changed by more than the answers say.
    pub(super) fn make_uncounted(&mut self) {
        if self.acknowledged || self.unknown {
            (self.acknowledged, self.uncounted) = (true, true);
        }
    }

    /// Returns the change of the count. `None` if nothing has happened.
    pub(super) fn change(&self) -> Option<Change> {
        match *self {
            Self { acknowledged: true, uncounted, unknown, .. } if uncounted || unknown => {
                Some(Change::Uncounted)
            }
            Self { unknown: true, .. } => Some(Change::Unknown),
            Self { applied: true, sum, .. } => Some(Change::Applied(sum)),
            Self { acknowledged: true, .. } => Some(Change::Unchanged),
            _ => None,
        }
    }
}
