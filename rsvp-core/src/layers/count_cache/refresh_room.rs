//! The room for refreshes: a bound on their number that a hanging part of the store cannot fill.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::{Deadline, Error, Operation, Result};

use super::read::until;

/// The greatest number of refreshes that are expected to be quick.
const MOST_QUICK: usize = 1024;

/// The greatest number of the others.
const MOST_SLOW: usize = 8192;

/// The time for which a quick refresh waits for a slow permit, while it runs.
const LONGEST_MOVE: Duration = Duration::from_millis(750);

/// The two kinds of refreshes, each with a bound on its number.
///
/// | kind | refreshes | at most |
/// |---|---|---|
/// | quick | the first 250 ms of a refresh, at most | 1,024 |
/// | slow | the time after that, and refreshes apart from others, as long as there is room | 8,192 |
#[derive(Debug)]
pub(super) struct Room {
    quick: Arc<Semaphore>,
    slow: Arc<Semaphore>,
}

impl Room {
    pub(super) fn new() -> Self {
        let (quick, slow) = (Semaphore::new(MOST_QUICK), Semaphore::new(MOST_SLOW));
        Self { quick: Arc::new(quick), slow: Arc::new(slow) }
    }

    /// Returns a permit for a refresh, if there is one.
    pub(super) fn try_enter(&self, apart: bool) -> Option<RefreshPermit> {
        // The read of an event apart from others is expected to be slow.
        if apart && let Ok(permit) = self.slow.clone().try_acquire_owned() {
            return Some(RefreshPermit { _permit: permit, slow: None });
        }
        Some(self.quick(self.quick.clone().try_acquire_owned().ok()?))
    }

    /// Waits for a permit until the deadline.
    pub(super) async fn enter(&self, deadline: Option<Deadline>) -> Option<RefreshPermit> {
        let permit = until(deadline, self.quick.clone().acquire_owned()).await?.ok()?;
        Some(self.quick(permit))
    }

    fn quick(&self, permit: OwnedSemaphorePermit) -> RefreshPermit {
        RefreshPermit { _permit: permit, slow: Some(self.slow.clone()) }
    }
}

/// The permit of a refresh.
#[derive(Debug)]
pub(super) struct RefreshPermit {
    _permit: OwnedSemaphorePermit,
    /// The slow permits, for a refresh with a quick one.
    slow: Option<Arc<Semaphore>>,
}

impl RefreshPermit {
    /// Exchanges a quick permit for a slow one.
    ///
    /// # Errors
    ///
    /// [`Error::Overloaded`] if no slow permit becomes free in time.
    pub(super) async fn slow_down(&mut self) -> Result<()> {
        let Some(slow) = self.slow.take() else { return Ok(()) };
        let overloaded = || Error::overloaded(Operation::RsvpCount);
        let permit = timeout(LONGEST_MOVE, slow.acquire_owned()).await;
        // The semaphore is never closed.
        self._permit = permit.map_err(|_| overloaded())?.map_err(|_| overloaded())?;
        Ok(())
    }
}
