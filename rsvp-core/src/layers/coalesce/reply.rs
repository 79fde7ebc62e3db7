//! The answer to a call of writes, shared by its caller and the queue.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use smallvec::{SmallVec, smallvec};
use tokio::time::{Instant, timeout_at};

use super::failure::lost;
use crate::layers::timeout::GRACE;
use crate::{Deadline, Effect, Error, Operation, Result, SessionToken, Write, Written};

/// The results of the writes of one request, and the token of their batch.
pub(super) type Answer = Result<(SmallVec<[Result<Written>; 1]>, SessionToken)>;

/// The writes of one call to one event, which go to the store in one batch.
pub(super) struct WriteRequest {
    pub(super) writes: SmallVec<[Write; 1]>,
    /// The number of writes, which stays when they have gone to the store.
    pub(super) entries: usize,
    /// The flow that the request has waited in.
    pub(super) flow: usize,
    reply: Arc<Reply>,
    /// The place of the request in its call.
    place: usize,
    answered: bool,
}

impl WriteRequest {
    pub(super) fn new(writes: SmallVec<[Write; 1]>, reply: Arc<Reply>, place: usize) -> Self {
        let entries = writes.len();
        Self { writes, entries, flow: 0, reply, place, answered: false }
    }

    pub(super) fn deadline(&self) -> Option<Deadline> {
        self.reply.deadline
    }

    /// Marks the request as part of a batch with this deadline, unless its caller cannot use the
    /// answer any more.
    pub(super) fn send(&self, batch: Deadline, now: Instant) -> bool {
        // A caller without a deadline never gives up.
        let Some(deadline) = self.reply.deadline else { return true };
        let mut state = self.reply.state();
        let Some(progress) = state.progress.get_mut(self.place) else { return false };
        if deadline.instant() <= now || matches!(progress, Progress::GivenUp) {
            return false;
        }
        *progress = Progress::Sent(batch);
        true
    }

    /// Gives the caller its answer, and wakes it if that is the last one of its call.
    pub(super) fn answer(&mut self, answer: Answer) {
        self.finish(Progress::Answered(answer));
    }

    fn finish(&mut self, outcome: Progress) {
        self.answered = true;
        let mut state = self.reply.state();
        if let Some(progress) = state.progress.get_mut(self.place) {
            *progress = outcome;
        }
        state.open -= 1;
        let waker = if state.open == 0 { state.waker.take() } else { None };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for WriteRequest {
    /// A request that is dropped with its batch was lost in flight.
    fn drop(&mut self) {
        if !self.answered {
            self.finish(Progress::Lost);
        }
    }
}

/// How far a request has got.
enum Progress {
    /// It waits for its batch.
    Queued,
    /// It is part of a batch with this deadline.
    Sent(Deadline),
    /// The caller has given up while the request was queued, so it is not sent.
    GivenUp,
    Answered(Answer),
    /// Its batch was dropped, so nobody knows what has become of it.
    Lost,
}

/// Where a caller waits for the answers to the requests of its call.
pub(super) struct Reply {
    deadline: Option<Deadline>,
    state: Mutex<State>,
}

struct State {
    progress: SmallVec<[Progress; 1]>,
    /// Requests without an answer.
    open: usize,
    waker: Option<Waker>,
}

impl Reply {
    /// A reply to a call of so many requests.
    pub(super) fn new(deadline: Option<Deadline>, requests: usize) -> Arc<Self> {
        let progress = match requests {
            1 => smallvec![Progress::Queued],
            _ => (0..requests).map(|_| Progress::Queued).collect(),
        };
        Arc::new(Self {
            deadline,
            state: Mutex::new(State { progress, open: requests, waker: None }),
        })
    }

    /// The answers to all requests, or at the deadline what has become of them.
    ///
    /// `settling` tells how much longer than the deadline of its batch a write may be pending.
    pub(super) async fn answers(
        &self,
        began: Option<Instant>,
        settling: impl Fn() -> Duration,
    ) -> SmallVec<[Answer; 1]> {
        if let (Some(deadline), Some(began)) = (self.deadline, began) {
            let answered = timeout_at(deadline.instant(), self.all_answered()).await;
            // A batch with the same deadline gives up now, and is about to say what it has done.
            if answered.is_err()
                && let Some(end) = self.end_of_batches(deadline)
            {
                // Without an answer by then the caller is told below what it may count on.
                let _ = timeout_at(end, self.all_answered()).await;
            }
            self.take(began.elapsed(), settling)
        } else {
            self.all_answered().await;
            self.take(Duration::ZERO, settling)
        }
    }

    async fn all_answered(&self) {
        poll_fn(|context| {
            let mut state = self.state();
            if state.open == 0 {
                return Poll::Ready(());
            }
            match &mut state.waker {
                Some(waker) => waker.clone_from(context.waker()),
                none => *none = Some(context.waker().clone()),
            }
            Poll::Pending
        })
        .await;
    }

    /// When the batches in flight should be over at the latest, of those that have no later deadline
    /// than the call.
    fn end_of_batches(&self, deadline: Deadline) -> Option<Instant> {
        let state = self.state();
        let ends = state.progress.iter().filter_map(|progress| match progress {
            Progress::Sent(batch) if *batch <= deadline => Some(batch.instant() + GRACE),
            _ => None,
        });
        ends.max()
    }

    /// Takes the answers, and gives up on the requests that have none.
    fn take(&self, waited: Duration, settling: impl Fn() -> Duration) -> SmallVec<[Answer; 1]> {
        const OPERATION: Operation = Operation::Write;
        let mut state = self.state();
        let take = |progress: &mut Progress| match std::mem::replace(progress, Progress::GivenUp) {
            Progress::Answered(answer) => answer,
            Progress::Queued | Progress::GivenUp => {
                Err(Error::timed_out(OPERATION, waited, Effect::NotApplied))
            }
            Progress::Sent(batch) => {
                let until = Deadline::at(batch.instant() + settling());
                Err(Error::timed_out(OPERATION, waited, Effect::Pending(until)))
            }
            Progress::Lost => Err(lost(OPERATION, settling())),
        };
        state.progress.iter_mut().map(take).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that panics runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
