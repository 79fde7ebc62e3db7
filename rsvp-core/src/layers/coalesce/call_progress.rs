//! The deadline and the progress of a queued call.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::layers::timeout::GRACE;
use crate::{Deadline, Effect, Error, Operation};

/// The deadline of a call, and its progress.
#[derive(Clone)]
pub(super) struct CallProgress {
    pub(super) deadline: Deadline,
    /// The moment of the call.
    pub(super) queued: Instant,
    progress: Arc<Mutex<Progress>>,
}

#[derive(Clone, Copy)]
enum Progress {
    /// The call waits for its batch.
    Queued,
    /// The call is in a batch with this deadline.
    Sent(Deadline),
    /// The caller gave up while the call was queued, so the call is not sent.
    GivenUp,
}

impl CallProgress {
    pub(super) fn new(deadline: Deadline) -> Self {
        Self { deadline, queued: Instant::now(), progress: Arc::new(Mutex::new(Progress::Queued)) }
    }

    /// Marks the call as sent with a batch.
    /// Returns false if the caller has no use for an answer any more.
    pub(super) fn send(&self, batch: Deadline) -> bool {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*progress, Progress::GivenUp) {
            return false;
        }
        *progress = Progress::Sent(batch);
        true
    }

    /// Returns the latest moment of the answer, if the batch has about the deadline of the call.
    pub(super) fn end_of_batch(&self) -> Option<Instant> {
        let end = self.deadline.instant() + GRACE;
        match *self.progress.lock().unwrap_or_else(PoisonError::into_inner) {
            Progress::Sent(batch) => (batch.instant() <= end).then_some(end),
            Progress::Queued | Progress::GivenUp => None,
        }
    }

    /// Returns the error of a caller that gives up at its deadline.
    /// `settling` is the time after the deadline of its batch during which a write may be pending.
    pub(super) fn give_up(&self, operation: Operation, settling: Duration) -> Error {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let effect = match *progress {
            Progress::Sent(batch) => Effect::Pending(Deadline::at(batch.instant() + settling)),
            Progress::Queued | Progress::GivenUp => Effect::NotApplied,
        };
        if effect == Effect::NotApplied {
            *progress = Progress::GivenUp;
        }
        Error::timed_out(operation, self.queued.elapsed(), effect)
    }
}
