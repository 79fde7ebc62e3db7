//! The answer to a call of writes, shared by its caller and the queue.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use smallvec::SmallVec;
use tokio::time::Instant;
use tracing::Span;

use super::failure::lost;
use crate::layers::timeout::{GRACE, before};
use crate::{BatchReceipt, Deadline, Effect, Error, Operation, Result, Write};

/// The results of the writes of one request, and the token of their batch.
pub(super) type Answer = Result<BatchReceipt>;

/// The writes of a call to one event. Usually there is one.
pub(super) type WritesOfEvent = SmallVec<[Write; 1]>;

/// The writes of one call to one event. They go to the store in one batch.
pub(super) struct WriteRequest {
    /// The number of writes.
    pub(super) entries: usize,
    /// The flow of the event in the queue.
    pub(super) flow: usize,
    /// The call of the request. It holds the writes, and its caller waits on it.
    reply: Arc<Reply>,
    /// The place of the request in its call.
    place: usize,
    answered: bool,
}

impl WriteRequest {
    pub(super) fn deadline(&self) -> Option<Deadline> {
        self.reply.deadline
    }

    pub(super) fn caller(&self) -> &Span {
        &self.reply.caller
    }

    /// Takes the writes for a batch with this deadline.
    /// `None` if the caller has no use for the answer any more.
    pub(super) fn send(&self, batch: Deadline) -> Option<WritesOfEvent> {
        let mut state = self.reply.state();
        let progress = state.progress.get_mut(self.place)?;
        match std::mem::replace(progress, Progress::Sent(batch)) {
            Progress::Queued(writes) => Some(writes),
            other => {
                *progress = other;
                None
            }
        }
    }

    /// Gives the caller its answer, and wakes the caller after the last answer of its call.
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

/// The progress of a request.
enum Progress {
    /// The request waits for its batch.
    Queued(WritesOfEvent),
    /// The request is in a batch with this deadline.
    Sent(Deadline),
    /// The caller gave up while the request was queued, so the request is not sent.
    GivenUp,
    Answered(Answer),
    /// The batch was dropped, so the effect is not known.
    Lost,
}

/// The shared state of a call: the answers to its requests, and its waiting caller.
pub(super) struct Reply {
    deadline: Option<Deadline>,
    /// The span of the caller.
    caller: Span,
    state: Mutex<State>,
}

struct State {
    progress: SmallVec<[Progress; 1]>,
    /// The number of requests without an answer.
    open: usize,
    waker: Option<Waker>,
}

impl Reply {
    /// Makes a reply to a call with these writes, one request for each event.
    pub(super) fn new(
        deadline: Option<Deadline>,
        writes: impl IntoIterator<Item = WritesOfEvent>,
    ) -> Arc<Self> {
        let progress: SmallVec<[Progress; 1]> = writes.into_iter().map(Progress::Queued).collect();
        let open = progress.len();
        let caller = Span::current();
        Arc::new(Self {
            deadline,
            caller,
            state: Mutex::new(State { progress, open, waker: None }),
        })
    }

    /// Makes the request at this place, with this number of writes. There is one for each place.
    pub(super) fn request(self: &Arc<Self>, place: usize, entries: usize) -> WriteRequest {
        WriteRequest { entries, flow: 0, reply: self.clone(), place, answered: false }
    }

    /// Returns the answers to all requests.
    /// At the deadline it returns the error of each unanswered request.
    ///
    /// `settling` returns the time after the deadline of its batch during
    /// which a write may be pending.
    pub(super) async fn answers(
        &self,
        began: Option<Instant>,
        settling: impl Fn() -> Duration,
    ) -> SmallVec<[Answer; 1]> {
        // 1. Wait for all answers, without a timer if the call has no deadline.
        let (Some(deadline), Some(began)) = (self.deadline, began) else {
            return self.all_answered(&settling).await;
        };
        if let Some(answers) = before(deadline.instant(), self.all_answered(&settling)).await {
            return answers;
        }
        // 2. A batch with about the same deadline gives up now, and is about to report its effect.
        //    Wait for that.
        let end = deadline.instant() + GRACE;
        if self.ends_by(end)
            && let Some(answers) = before(end, self.all_answered(&settling)).await
        {
            return answers;
        }
        // 3. Give up on the unanswered requests.
        self.state().take(began.elapsed(), &settling)
    }

    async fn all_answered(&self, settling: &impl Fn() -> Duration) -> SmallVec<[Answer; 1]> {
        poll_fn(|context| {
            let mut state = self.state();
            if state.open == 0 {
                return Poll::Ready(state.take(Duration::ZERO, settling));
            }
            match &mut state.waker {
                Some(waker) => waker.clone_from(context.waker()),
                none => *none = Some(context.waker().clone()),
            }
            Poll::Pending
        })
        .await
    }

    /// Returns whether a batch in flight has its deadline by then.
    fn ends_by(&self, end: Instant) -> bool {
        let ends = |progress: &Progress| match progress {
            Progress::Sent(batch) => batch.instant() <= end,
            _ => false,
        };
        self.state().progress.iter().any(ends)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Code under the lock does not panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes the answers, and gives up on the requests without one.
    fn take(&mut self, waited: Duration, settling: impl Fn() -> Duration) -> SmallVec<[Answer; 1]> {
        const OPERATION: Operation = Operation::Write;
        let take = |progress: &mut Progress| match std::mem::replace(progress, Progress::GivenUp) {
            Progress::Answered(answer) => answer,
            Progress::Queued(_) | Progress::GivenUp => {
                Err(Error::timed_out(OPERATION, waited, Effect::NotApplied))
            }
            Progress::Sent(batch) => {
                let until = Deadline::at(batch.instant() + settling());
                Err(Error::timed_out(OPERATION, waited, Effect::Pending(until)))
            }
            Progress::Lost => Err(lost(OPERATION, settling())),
        };
        self.progress.iter_mut().map(take).collect()
    }
}
