//! The health of a replica, and the time of its next trial after a failure.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The time between a failure of a replica and the next trial.
const SKIPPED: Duration = Duration::from_secs(1);

/// The longest trial. Then another one begins, because the runtime of the first may be gone.
const TRIAL: Duration = Duration::from_secs(60);

/// The health of one replica. A replica is healthy until it fails, and again after a trial.
#[derive(Debug, Default)]
pub(super) struct Health {
    down_until: Mutex<Option<Instant>>,
}

/// The use that a call may make of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Ask it.
    Ask,
    /// Pass it over.
    Skip,
    /// Pass it over, and try on a task whether it is back. Only one caller at a time gets this.
    Try,
}

impl Health {
    /// Returns the use that a call may make of the replica now.
    pub(super) fn allowed(&self) -> Use {
        let mut down_until = self.down_until.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(until) = *down_until else { return Use::Ask };
        // The first caller after the pause tries it. The others skip it until the trial ends.
        let now = Instant::now();
        if now < until {
            return Use::Skip;
        }
        *down_until = Some(now + TRIAL);
        Use::Try
    }

    /// Records an answer of the replica.
    pub(super) fn recovered(&self) {
        self.set_down_until(None);
    }

    /// Records a failure of the replica.
    pub(super) fn failed(&self) {
        self.set_down_until(Some(Instant::now() + SKIPPED));
    }

    fn set_down_until(&self, until: Option<Instant>) {
        *self.down_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}
