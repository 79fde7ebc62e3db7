//! How long a caller waits, and how far its call has got meanwhile.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::layers::timeout::GRACE;
use crate::{Deadline, Effect, Error, Operation};

/// The deadline of a call, and how far the call has got.
#[derive(Clone)]
pub(super) struct Patience {
    pub(super) deadline: Deadline,
    progress: Arc<Mutex<Progress>>,
}

#[derive(Clone, Copy)]
enum Progress {
    /// The call waits for its batch.
    Queued,
    /// The call is part of a batch with this deadline.
    Sent(Deadline),
    /// The caller has given up while the call was queued, so it is not sent.
    GivenUp,
}

impl Patience {
    pub(super) fn new(deadline: Deadline) -> Self {
        Self { deadline, progress: Arc::new(Mutex::new(Progress::Queued)) }
    }

    /// Marks the call as part of a batch, unless nobody can use its answer any more.
    pub(super) fn send(&self, batch: Deadline) -> bool {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        if self.deadline.has_passed() || matches!(*progress, Progress::GivenUp) {
            *progress = Progress::GivenUp;
            return false;
        }
        *progress = Progress::Sent(batch);
        true
    }

    /// When the batch should be over at the latest, if it has no later deadline than the call.
    pub(super) fn end_of_batch(&self) -> Option<Instant> {
        match *self.progress.lock().unwrap_or_else(PoisonError::into_inner) {
            Progress::Sent(batch) if batch <= self.deadline => Some(batch.instant() + GRACE),
            Progress::Sent(_) | Progress::Queued | Progress::GivenUp => None,
        }
    }

    /// The error of a caller that gives up at its deadline.
    /// `settling` is how much longer than the deadline of its batch a write may be pending.
    pub(super) fn give_up(
        &self,
        operation: Operation,
        waited: Duration,
        settling: Duration,
    ) -> Error {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let effect = match *progress {
            Progress::Sent(batch) => Effect::Pending(Deadline::at(batch.instant() + settling)),
            Progress::Queued | Progress::GivenUp => Effect::NotApplied,
        };
        if effect == Effect::NotApplied {
            *progress = Progress::GivenUp;
        }
        Error::timed_out(operation, waited, effect)
    }
}
