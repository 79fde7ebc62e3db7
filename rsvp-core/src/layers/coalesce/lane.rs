//! A queue of reads that go to the store in batches, a bounded number of batches at a time.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use tokio::sync::oneshot;
use tokio::task::consume_budget;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::{Instrument, Span};

use super::failure::{LONGEST_BATCH, lost, runtime, stopped};
use super::freshness::both;
use super::patience::Patience;
use super::span::BatchSpan;
use crate::backend::check_answer_count;
use crate::{Consistency, Deadline, Error, Operation, ReadOptions, Result, RsvpStore};

/// What the calls of a lane become on the store.
pub(super) trait Batch: 'static {
    const OPERATION: Operation;
    type Entry: Clone + Send + Sync + 'static;
    type Answer: Send + 'static;

    /// One call of the store, with a result for each entry.
    fn run<S: RsvpStore>(
        store: &S,
        entries: Vec<Self::Entry>,
        options: ReadOptions,
    ) -> impl Future<Output = Answered<Self>> + Send;
}

/// A result for each entry of a call or a batch.
pub(super) type Answered<B> = Result<Vec<Result<<B as Batch>::Answer>>>;

/// A call that waits for its batch.
struct Call<B: Batch + ?Sized> {
    entries: Vec<B::Entry>,
    /// How fresh the answer must be.
    freshness: Consistency,
    patience: Option<Patience>,
    /// The span in which the call was made.
    caller: Span,
    reply: oneshot::Sender<Answered<B>>,
}

/// A queue of calls, and the drivers that take batches from it.
pub(super) struct Lane<S, B: Batch> {
    store: Arc<S>,
    limits: Limits,
    /// What is still to be done in any lane of the store.
    tasks: TaskTracker,
    queue: Mutex<Queue<B>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Batches that are in flight at once.
    pub(super) width: usize,
    /// Entries of a batch, unless one call has more.
    pub(super) max_batch: usize,
    /// Entries that wait or are in flight when a call is refused.
    pub(super) max_pending: usize,
    /// Whether only reads of equal freshness share a batch.
    pub(super) only_equal: bool,
}

struct Queue<B: Batch> {
    calls: VecDeque<Call<B>>,
    /// Entries that wait, are in flight, or are about to be pushed.
    pending: usize,
    drivers: usize,
    closed: bool,
}

impl<S: RsvpStore + 'static, B: Batch> Lane<S, B> {
    pub(super) fn new(store: Arc<S>, limits: Limits, tasks: TaskTracker) -> Arc<Self> {
        let queue = Queue { calls: VecDeque::new(), pending: 0, drivers: 0, closed: false };
        Arc::new(Self { store, limits, tasks, queue: Mutex::new(queue) })
    }

    /// Queues a call, unless there is no room for it.
    pub(super) async fn call(
        self: &Arc<Self>,
        entries: &[B::Entry],
        freshness: Consistency,
        deadline: Option<Deadline>,
    ) -> Answered<B> {
        // Nothing is copied, and no span is asked for, under the lock.
        let (entries, caller) = (entries.to_vec(), Span::current());
        let queue = self.admit(entries.len())?;
        self.push(queue, entries, freshness, deadline, caller).await
    }

    /// Makes room for a call of so many entries.
    ///
    /// A lane takes one more call as long as it is below its bound, however large the call is:
    /// so a batch that is larger than the bound goes through when there is little else to do.
    fn admit(&self, entries: usize) -> Result<MutexGuard<'_, Queue<B>>> {
        let mut queue = self.queue();
        if queue.closed {
            return Err(Error::closed(B::OPERATION));
        }
        if self.is_full(&queue) {
            return Err(Error::overloaded(B::OPERATION));
        }
        queue.pending += entries;
        Ok(queue)
    }

    /// Queues a call that there is room for. If nobody drives the lane, the caller's runtime will.
    fn push(
        self: &Arc<Self>,
        mut queue: MutexGuard<'_, Queue<B>>,
        entries: Vec<B::Entry>,
        freshness: Consistency,
        deadline: Option<Deadline>,
        caller: Span,
    ) -> impl Future<Output = Answered<B>> + Send + use<S, B> {
        let (reply, answer) = oneshot::channel();
        let patience = deadline.map(Patience::new);
        let own = patience.clone();
        let settling = self.store.settling_time();
        match (queue.drivers < self.limits.width).then(|| runtime(B::OPERATION)) {
            Some(Err(error)) => {
                queue.pending -= entries.len();
                let _ = reply.send(Err(error));
            }
            Some(Ok(runtime)) => {
                queue.calls.push_back(Call { entries, freshness, patience, caller, reply });
                queue.drivers += 1;
                // Made here and not by the task, which a runtime that shuts down may never begin.
                let driver = Driver::new(self.clone());
                // A runtime that has ended drops it at once, and that takes the lock.
                drop(queue);
                drop(runtime.spawn(driver.drive()));
            }
            None => queue.calls.push_back(Call { entries, freshness, patience, caller, reply }),
        }
        async move {
            let lost = |_| Err(lost(B::OPERATION, settling));
            let Some(patience) = own else { return answer.await.unwrap_or_else(lost) };
            let began = Instant::now();
            let mut answer = answer;
            if let Ok(answer) = timeout_at(patience.deadline.instant(), &mut answer).await {
                return answer.unwrap_or_else(lost);
            }
            // A batch with the same deadline gives up now, and is about to say what it has done.
            if let Some(end) = patience.end_of_batch()
                && let Ok(answer) = timeout_at(end, &mut answer).await
            {
                return answer.unwrap_or_else(lost);
            }
            Err(patience.give_up(B::OPERATION, began.elapsed(), settling))
        }
    }

    /// Refuses calls from now on; those that have a place are still made.
    pub(super) fn close(&self) {
        self.queue().closed = true;
    }

    pub(super) fn pending(&self) -> usize {
        self.queue().pending
    }

    fn is_full(&self, queue: &Queue<B>) -> bool {
        queue.pending >= self.limits.max_pending
    }

    fn queue(&self) -> MutexGuard<'_, Queue<B>> {
        // Nothing that panics runs under the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes one call of all, and gives each its own answers once `landed` has been told.
    async fn run(&self, mut calls: Vec<Call<B>>, landed: impl FnOnce()) {
        calls.retain(|call| !call.reply.is_closed());
        let deadline = batch_deadline(&calls);
        let (mut entries, mut replies) = (Vec::new(), Vec::with_capacity(calls.len()));
        let (mut freshness, mut span) = (None, BatchSpan::new(B::OPERATION));
        for mut call in calls {
            if call.patience.as_ref().is_some_and(|patience| !patience.send(deadline)) {
                let _ = call.reply.send(Err(Error::too_late(B::OPERATION)));
                continue;
            }
            span.link(&call.caller);
            replies.push((call.entries.len(), call.reply));
            entries.append(&mut call.entries);
            match &mut freshness {
                None => freshness = Some(call.freshness),
                Some(freshness) => both(freshness, call.freshness),
            }
        }
        let Some(freshness) = freshness else { return };
        let asked = entries.len();
        let options = ReadOptions::from(freshness).with_deadline(deadline).with_queued();
        let answered = B::run(&*self.store, entries, options).instrument(span.of(asked));
        let answered = answered.await.and_then(|answers| {
            check_answer_count(B::OPERATION, asked, answers.len())?;
            Ok(answers)
        });
        // Whoever calls again as soon as there is an answer finds its room free.
        landed();
        // A caller that has gone away needs no answer.
        match answered {
            Ok(answers) => {
                let mut answers = answers.into_iter();
                for (entries, reply) in replies {
                    let own = answers.by_ref().take(entries).collect();
                    let _ = reply.send(Ok(own));
                }
            }
            Err(error) => {
                for (_, reply) in replies {
                    let _ = reply.send(Err(error.clone()));
                }
            }
        }
    }
}

/// The latest deadline of all calls.
fn batch_deadline<B: Batch>(calls: &[Call<B>]) -> Deadline {
    let longest = Deadline::after(LONGEST_BATCH);
    let deadline = |call: &Call<B>| call.patience.as_ref().map_or(longest, |own| own.deadline);
    calls.iter().map(deadline).max().unwrap_or(longest)
}

/// What takes batches from a lane, on a task. Dropped before it is finished, by a runtime that
/// shuts down, it leaves the lane to the next.
struct Driver<S: RsvpStore + 'static, B: Batch> {
    lane: Arc<Lane<S, B>>,
    /// Entries of the batch that is on its way.
    in_flight: usize,
    finished: bool,
    /// Whoever waits for the lane to drain waits for this.
    _token: TaskTrackerToken,
}

impl<S: RsvpStore + 'static, B: Batch> Driver<S, B> {
    fn new(lane: Arc<Lane<S, B>>) -> Self {
        let _token = lane.tasks.token();
        Self { lane, in_flight: 0, finished: false, _token }
    }

    /// Takes batches until there is nothing left to take.
    async fn drive(mut self) {
        while let Some(calls) = self.next() {
            // Whoever waits for one of these calls sees that its reply is gone.
            let lane = self.lane.clone();
            let run = lane.run(calls, || self.landed());
            let _ = AssertUnwindSafe(run).catch_unwind().await;
            // Over a store that answers at once nothing else lets other tasks have their turn.
            consume_budget().await;
        }
    }

    /// Makes room: the batch that was on its way is over.
    fn landed(&mut self) {
        let entries = std::mem::take(&mut self.in_flight);
        if entries > 0 {
            self.lane.queue().pending -= entries;
        }
    }

    /// The calls of the next batch, in the order in which they came.
    fn next(&mut self) -> Option<Vec<Call<B>>> {
        // What panicked has not landed yet, and what nobody waits for was never in the air.
        self.landed();
        let mut queue = self.lane.queue();
        let mut batch = Vec::new();
        while let Some(call) = queue.calls.front() {
            let entries = self.in_flight + call.entries.len();
            let differs = |first: &Call<B>| first.freshness != call.freshness;
            if self.lane.limits.only_equal && batch.first().is_some_and(differs) {
                break;
            }
            if !batch.is_empty() && entries > self.lane.limits.max_batch {
                break;
            }
            self.in_flight = entries;
            batch.extend(queue.calls.pop_front());
        }
        if batch.is_empty() {
            queue.drivers -= 1;
            self.finished = true;
            return None;
        }
        Some(batch)
    }
}

impl<S: RsvpStore + 'static, B: Batch> Drop for Driver<S, B> {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let mut queue = self.lane.queue();
        queue.pending -= self.in_flight;
        queue.drivers -= 1;
        if queue.drivers > 0 {
            return;
        }
        let stranded = std::mem::take(&mut queue.calls);
        queue.pending -= stranded.iter().map(|call| call.entries.len()).sum::<usize>();
        drop(queue);
        for call in stranded {
            let _ = call.reply.send(Err(stopped(B::OPERATION)));
        }
    }
}
