//! A queue of reads with a bounded number of concurrent batches.
//!
//! A call passes through these steps:
//!
//! 1. [`ReadQueue::call`] admits the call if the queue has room, and pushes it.
//! 2. If the queue has fewer drivers than `width`, the caller spawns a [`Driver`] on its runtime.
//! 3. A driver takes the calls of the next batch, runs the batch and answers each call.
//!    It repeats this until the queue is empty, and ends.
//! 4. The caller waits for its answer until its deadline.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use tokio::sync::oneshot;
use tokio::task::consume_budget;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::{Instrument, Span};

use super::call_progress::CallProgress;
use super::failure::{LONGEST_BATCH, lost, runtime, stopped};
use super::freshness::both;
use super::span::BatchSpan;
use super::waiting_calls::{Call, Taken, WaitingCalls};
use crate::backend::check_answer_count;
use crate::layers::timeout::before;
use crate::{Consistency, Deadline, Error, Operation, ReadOptions, Result, RsvpStore};

/// A kind of batched read.
pub(super) trait Batch: 'static {
    const OPERATION: Operation;
    type Entry: Clone + Send + Sync + 'static;
    type Answer: Send + 'static;

    /// Makes one call of the store, with a result for each entry.
    fn run<S: RsvpStore>(
        store: &S,
        entries: Vec<Self::Entry>,
        options: ReadOptions,
    ) -> impl Future<Output = Answered<Self>> + Send;
}

/// A result for each entry of a call or a batch.
pub(super) type Answered<B> = Result<Vec<Result<<B as Batch>::Answer>>>;

/// A queue of calls, and the drivers that take batches from it.
pub(super) struct ReadQueue<S, B: Batch> {
    store: Arc<S>,
    limits: Limits,
    /// All unfinished tasks of the store.
    tasks: TaskTracker,
    queue: Mutex<Queue<B>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The number of concurrent batches.
    pub(super) width: usize,
    /// The greatest number of entries of a batch of several calls.
    pub(super) max_batch: usize,
    /// The number of pending entries from which on a call is refused.
    pub(super) max_pending: usize,
}

struct Queue<B: Batch> {
    waiting: WaitingCalls<B>,
    /// The number of entries that wait, are in flight, or are about to be pushed.
    pending: usize,
    drivers: usize,
    closed: bool,
}

impl<S: RsvpStore + 'static, B: Batch> ReadQueue<S, B> {
    pub(super) fn new(store: Arc<S>, limits: Limits, tasks: TaskTracker) -> Arc<Self> {
        let waiting = WaitingCalls::default();
        let queue = Queue { waiting, pending: 0, drivers: 0, closed: false };
        Arc::new(Self { store, limits, tasks, queue: Mutex::new(queue) })
    }

    /// Queues a call and waits for its answer. A full queue refuses the call.
    pub(super) async fn call(
        self: &Arc<Self>,
        entries: &[B::Entry],
        freshness: Consistency,
        deadline: Option<Deadline>,
    ) -> Answered<B> {
        // Copy the entries and look up the span before taking the lock.
        let (entries, caller) = (entries.to_vec(), Span::current());
        let queue = self.admit(entries.len())?;
        self.push(queue, entries, freshness, deadline, caller).await
    }

    /// Makes room for a call with this number of entries.
    ///
    /// A queue below its bound takes one more call of any size.
    /// So a call larger than the bound goes through when there is little else to do.
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

    /// Queues an admitted call.
    /// If there are too few drivers, it spawns one on the caller's runtime.
    fn push(
        self: &Arc<Self>,
        mut queue: MutexGuard<'_, Queue<B>>,
        entries: Vec<B::Entry>,
        freshness: Consistency,
        deadline: Option<Deadline>,
        caller: Span,
    ) -> impl Future<Output = Answered<B>> + Send + use<S, B> {
        // 1. Prepare the answer channel, and the progress of a call with a deadline.
        let (reply, answer) = oneshot::channel();
        let progress = deadline.map(CallProgress::new);
        let own = progress.clone();
        let settling = self.store.settling_time();
        // 2. Push the call, and spawn a driver if one more batch may be in flight.
        match (queue.drivers < self.limits.width).then(|| runtime(B::OPERATION)) {
            // A caller without a runtime relies on the existing drivers.
            Some(Err(error)) if queue.drivers == 0 => {
                queue.pending -= entries.len();
                let _ = reply.send(Err(error));
            }
            Some(Ok(runtime)) => {
                queue.waiting.push(Call { entries, freshness, progress, caller, reply });
                queue.drivers += 1;
                // Create the driver here and not in the task.
                // A runtime that is shutting down may never poll the task.
                let driver = Driver::new(self.clone());
                // A stopped runtime drops the task at once. The task's `Drop` takes the lock.
                drop(queue);
                drop(runtime.spawn(driver.drive()));
            }
            Some(Err(_)) | None => {
                queue.waiting.push(Call { entries, freshness, progress, caller, reply });
            }
        }
        // 3. Wait for the answer, until the deadline if there is one.
        async move {
            let lost = |_| Err(lost(B::OPERATION, settling));
            let Some(progress) = own else { return answer.await.unwrap_or_else(lost) };
            let mut answer = answer;
            if let Some(answer) = before(progress.deadline.instant(), &mut answer).await {
                return answer.unwrap_or_else(lost);
            }
            // 4. A batch with about the same deadline gives up now, and is about to report its
            //    effect. Wait for that.
            if let Some(end) = progress.end_of_batch()
                && let Some(answer) = before(end, &mut answer).await
            {
                return answer.unwrap_or_else(lost);
            }
            // 5. Give up. The error says whether the call was sent.
            Err(progress.give_up(B::OPERATION, settling))
        }
    }

    /// Refuses new calls. Admitted calls are still run.
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
        // Code under the lock does not panic.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes one call of the store for all calls of a batch, and answers each of them.
    /// It calls `landed` before the answers.
    async fn run(&self, calls: Vec<Call<B>>, sent: Instant, landed: impl FnOnce()) {
        // 1. The batch has the latest deadline of its calls.
        let deadline = batch_deadline(&calls, sent);
        // 2. Collect the entries of all calls whose callers have not given up.
        //    The batch is as fresh as the most demanding of them.
        let (mut entries, mut replies) = (Vec::new(), Vec::with_capacity(calls.len()));
        let (mut freshness, mut span) = (None, BatchSpan::new(B::OPERATION));
        for mut call in calls {
            if call.progress.as_ref().is_some_and(|progress| !progress.send(deadline)) {
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
        // 3. Make one call of the store.
        let asked = entries.len();
        let options = ReadOptions::from(freshness).with_deadline(deadline).with_queued();
        let answered = B::run(&*self.store, entries, options).instrument(span.of(asked));
        let answered = answered.await.and_then(|answers| {
            check_answer_count(B::OPERATION, asked, answers.len())?;
            Ok(answers)
        });
        // 4. Free the room before the answers, so that a caller's next call finds it free.
        landed();
        // 5. Answer each call. A reply to a caller that has gone away is dropped.
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

/// Returns the latest deadline of all calls.
fn batch_deadline<B: Batch>(calls: &[Call<B>], sent: Instant) -> Deadline {
    let longest = Deadline::at(sent + LONGEST_BATCH);
    let deadline = |call: &Call<B>| call.progress.as_ref().map_or(longest, |own| own.deadline);
    calls.iter().map(deadline).max().unwrap_or(longest)
}

/// A task that takes batches from a queue.
///
/// A runtime that shuts down drops it before it has finished.
/// Then it leaves the queue to the next driver.
struct Driver<S: RsvpStore + 'static, B: Batch> {
    reads: Arc<ReadQueue<S, B>>,
    in_flight: Option<InFlight>,
    finished: bool,
    /// Keeps the task tracker waiting until this driver has ended.
    _token: TaskTrackerToken,
}

/// The batch in flight.
struct InFlight {
    entries: usize,
    sent: Instant,
}

impl<S: RsvpStore + 'static, B: Batch> Driver<S, B> {
    fn new(reads: Arc<ReadQueue<S, B>>) -> Self {
        let _token = reads.tasks.token();
        Self { reads, in_flight: None, finished: false, _token }
    }

    /// Runs batches until the queue is empty.
    async fn drive(mut self) {
        while let Some((calls, sent)) = self.next() {
            // A panic of the store drops the replies of the batch, and their callers get an error.
            let reads = self.reads.clone();
            let run = reads.run(calls, sent, || self.landed());
            let _ = AssertUnwindSafe(run).catch_unwind().await;
            // A store that answers at once never yields. Let other tasks have their turn.
            consume_budget().await;
        }
    }

    /// Frees the room of the batch that has ended, and records its duration.
    fn landed(&mut self) {
        if let Some(InFlight { entries, sent }) = self.in_flight.take()
            && entries > 0
        {
            let lasted = sent.elapsed();
            let mut queue = self.reads.queue();
            queue.pending -= entries;
            queue.waiting.record_batch(lasted);
        }
    }

    /// Takes the calls of the next batch, and the moment at which it is sent.
    /// The batch is empty if nobody waits for any of the calls.
    fn next(&mut self) -> Option<(Vec<Call<B>>, Instant)> {
        // 1. Free the room of a batch that panicked or was not sent.
        self.landed();
        // 2. End if the queue is empty.
        //    The lock is still held, so the next caller sees it and spawns a driver.
        let mut queue = self.reads.queue();
        if queue.waiting.is_empty() {
            queue.drivers -= 1;
            self.finished = true;
            return None;
        }
        // 3. Take calls up to the size of a batch, and at least one.
        let sent = Instant::now();
        let taken = queue.waiting.take_batch(sent, self.reads.limits.max_batch);
        let Taken { batch, unwanted } = taken;
        let entries =
            |calls: &[Call<B>]| calls.iter().map(|call| call.entries.len()).sum::<usize>();
        queue.pending -= entries(&unwanted);
        self.in_flight = Some(InFlight { entries: entries(&batch), sent });
        drop(queue);
        for call in unwanted {
            let _ = call.reply.send(Err(Error::too_late(B::OPERATION)));
        }
        Some((batch, sent))
    }
}

impl<S: RsvpStore + 'static, B: Batch> Drop for Driver<S, B> {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let mut queue = self.reads.queue();
        // 1. Free the room of the dropped batch.
        queue.pending -= self.in_flight.as_ref().map_or(0, |batch| batch.entries);
        queue.drivers -= 1;
        if queue.drivers > 0 {
            return;
        }
        // 2. The last driver answers the calls that nobody will send.
        let stranded = queue.waiting.take_all();
        queue.pending -= stranded.iter().map(|call| call.entries.len()).sum::<usize>();
        drop(queue);
        for call in stranded {
            let _ = call.reply.send(Err(stopped(B::OPERATION)));
        }
    }
}
