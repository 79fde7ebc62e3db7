//! Whether a replica may be asked, and when one that failed is tried again.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A replica that failed is not tried again for so long.
const SKIPPED: Duration = Duration::from_secs(1);

/// A trial without a result for so long, because its runtime is gone, gives way to another.
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
    /// Pass it over, and try on a task whether it is back. One caller at a time is told so.
    Try,
}

impl Health {
    /// The use that a call may make of the replica now.
    pub(super) fn allowed(&self) -> Use {
        let mut down_until = self.down_until.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(until) = *down_until else { return Use::Ask };
        let now = Instant::now();
        if now < until {
            return Use::Skip;
        }
        *down_until = Some(now + TRIAL);
        Use::Try
    }

    /// The replica has answered.
    pub(super) fn recovered(&self) {
        self.set_down_until(None);
    }

    /// The replica has failed.
    pub(super) fn failed(&self) {
        self.set_down_until(Some(Instant::now() + SKIPPED));
    }

    fn set_down_until(&self, until: Option<Instant>) {
        *self.down_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}
