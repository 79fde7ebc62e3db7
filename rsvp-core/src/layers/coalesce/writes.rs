//! The writes of a coalesced store: calls become requests, and drivers send these in batches.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use smallvec::SmallVec;
use tokio::runtime::Handle;
use tokio::task::consume_budget;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::Instrument;

use super::CoalesceConfig;
use super::failure::{LONGEST_BATCH, runtime, stopped};
use super::flows::{Batch, Flows, Verdict};
use super::reply::{Reply, WriteRequest, WritesOfEvent};
use super::seen::SeenTokens;
use super::span::BatchSpan;
use crate::backend::{check_answer_count, fail_all, partition, reorder};
use crate::{
    BatchReceipt, Deadline, Error, EventId, Operation, Result, RsvpStore, SessionToken, Write,
    WriteOptions, Written,
};

/// The queue of writes, and the drivers that take batches from it.
pub(super) struct Writes<S> {
    store: Arc<S>,
    seen: Arc<SeenTokens>,
    /// What is still to be done for any call of the store.
    tasks: TaskTracker,
    queue: Mutex<Queue>,
}

struct Queue {
    flows: Flows,
    /// Tasks that take batches. Requests wait only while there are some.
    drivers: usize,
    /// Whether one of them has been spawned and has not taken a batch yet. There is one at most: it
    /// spawns the next when there is more to send.
    is_driver_coming: bool,
    closed: bool,
}

impl<S: RsvpStore + 'static> Writes<S> {
    pub(super) fn new(
        store: Arc<S>,
        config: &CoalesceConfig,
        seen: Arc<SeenTokens>,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        let flows = Flows::new(config);
        let queue = Queue { flows, drivers: 0, is_driver_coming: false, closed: false };
        Arc::new(Self { store, seen, tasks, queue: Mutex::new(queue) })
    }

    /// Queues the writes of a call, and waits for their results.
    pub(super) async fn call(
        self: &Arc<Self>,
        writes: &[Write],
        deadline: Option<Deadline>,
    ) -> Result<BatchReceipt> {
        let began = deadline.map(|_| Instant::now());
        if deadline.zip(began).is_some_and(|(deadline, began)| deadline.instant() <= began) {
            return Err(Error::too_late(Operation::Write));
        }
        // 1. The usual call is of one event.
        if let Some((first, others)) = writes.split_first()
            && others.iter().all(|write| write.rsvp.event == first.rsvp.event)
        {
            let reply = Reply::new(deadline, [WritesOfEvent::from(writes)]);
            let request = reply.request(0, writes.len());
            self.submit(|queue| queue.push(&first.rsvp.event, request))?;
            let answer = reply.answers(began, || self.store.settling_time()).await.pop();
            return answer.unwrap_or_else(|| Ok(BatchReceipt::default()));
        }
        // 2. In a future of its own, so that of the usual call is small.
        Box::pin(self.call_events(writes, deadline, began)).await
    }

    /// Queues the writes of a call to several events.
    async fn call_events(
        self: &Arc<Self>,
        writes: &[Write],
        deadline: Option<Deadline>,
        began: Option<Instant>,
    ) -> Result<BatchReceipt> {
        // 1. They are divided by event, outside of the lock.
        let mut events: HashMap<&EventId, usize> = HashMap::new();
        for write in writes {
            let next = events.len();
            events.entry(&write.rsvp.event).or_insert(next);
        }
        let part_of = |write: &Write| events.get(&write.rsvp.event).copied().unwrap_or_default();
        let parts = partition(writes.iter().cloned(), part_of);
        let mut events: Vec<_> = events.into_iter().collect();
        events.sort_by_key(|(_, part)| *part);
        let (places, parts): (Vec<_>, Vec<_>) =
            parts.into_iter().map(|part| (part.places, part.entries)).unzip();
        let reply = Reply::new(deadline, parts.into_iter().map(SmallVec::from_vec));
        let requests = places.iter().enumerate();
        let requests = requests.map(|(at, places)| reply.request(at, places.len()));
        let requests = events.into_iter().map(|(event, _)| event).zip(requests);
        self.submit(|queue| requests.for_each(|(event, request)| queue.push(event, request)))?;
        // 2. Each request has its own results, or fails alone.
        let answers = reply.answers(began, || self.store.settling_time()).await;
        let mut token = SessionToken::new();
        let answered = places.into_iter().zip(answers).map(|(places, answer)| {
            let results = match answer {
                Ok(receipt) => {
                    token.merge(&receipt.token);
                    receipt.results
                }
                Err(error) => fail_all(places.len(), &error),
            };
            (places, results)
        });
        let results = reorder(Operation::Write, answered)?;
        Ok(BatchReceipt::new(results, token))
    }

    /// Queues requests. If nobody is there to send them, the caller's runtime will.
    fn submit(self: &Arc<Self>, push: impl FnOnce(&mut Queue)) -> Result<()> {
        let mut queue = self.queue();
        if queue.closed {
            return Err(Error::closed(Operation::Write));
        }
        push(&mut queue);
        if queue.wants_driver() {
            match runtime(Operation::Write) {
                Ok(runtime) => self.spawn_driver(queue, &runtime),
                // They are sent by the drivers that there are.
                Err(_) if queue.drivers > 0 => {}
                Err(error) => {
                    let waiting = queue.flows.take_waiting();
                    drop(queue);
                    refuse(waiting, &error);
                }
            }
        }
        Ok(())
    }

    fn spawn_driver(self: &Arc<Self>, mut queue: MutexGuard<'_, Queue>, runtime: &Handle) {
        queue.drivers += 1;
        queue.is_driver_coming = true;
        // Made here and not by the task, which a runtime that shuts down may never begin.
        let driver = Driver::new(self.clone());
        // A runtime that has ended drops it at once, and that takes the lock.
        drop(queue);
        drop(runtime.spawn(driver.drive()));
    }

    /// Refuses calls from now on; those that are queued are still made.
    pub(super) fn close(&self) {
        self.queue().closed = true;
    }

    pub(super) fn pending(&self) -> usize {
        self.queue().flows.pending()
    }

    /// Whether a write of any event would be refused now.
    pub(super) fn is_full(&self) -> bool {
        self.queue().flows.is_full()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing that panics runs under the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Queues a request, or refuses it if its event has no room.
    fn push(&mut self, event: &EventId, request: WriteRequest) {
        if let Err(mut refused) = self.flows.push(event, request) {
            refused.answer(Err(Error::overloaded(Operation::Write)));
        }
    }

    /// Whether there is a batch to send, and nobody is on the way to send it.
    fn wants_driver(&mut self) -> bool {
        !self.is_driver_coming && self.flows.has_next()
    }
}

/// Refuses requests that nobody will send. Not under the lock, since callers are woken.
fn refuse(waiting: Vec<WriteRequest>, error: &Error) {
    for mut request in waiting {
        request.answer(Err(error.clone()));
    }
}

/// What takes batches from the queue, on a task. Dropped before it is finished, by a runtime that
/// shuts down, it leaves the queue to the others.
struct Driver<S: RsvpStore + 'static> {
    writes: Arc<Writes<S>>,
    /// Whether it has not taken a batch yet.
    is_coming: bool,
    /// The batch that is on its way.
    batch: Batch,
    finished: bool,
    /// Whoever waits for the queue to drain waits for this.
    _token: TaskTrackerToken,
}

impl<S: RsvpStore + 'static> Driver<S> {
    fn new(writes: Arc<Writes<S>>) -> Self {
        let _token = writes.tasks.token();
        Self { writes, is_coming: true, batch: Batch::default(), finished: false, _token }
    }

    /// Takes batches until there is nothing left to take.
    // The bound is written out since the future spawns others of its own kind.
    #[allow(clippy::manual_async_fn, reason = "its type has to be known to be `Send` inside of it")]
    fn drive(mut self) -> impl Future<Output = ()> + Send {
        async move {
            while !self.finished && self.next() {
                let _ = AssertUnwindSafe(self.run()).catch_unwind().await;
                // Over a store that answers at once nothing else lets other tasks have their turn.
                consume_budget().await;
            }
        }
    }

    /// Takes the next batch. Returns whether there is one.
    fn next(&mut self) -> bool {
        // 1. What panicked has not landed yet, and what nobody waits for was never in the air. The
        //    callers of what panicked are told in the end that it is lost.
        let _lost = std::mem::take(&mut self.batch.requests);
        let mut queue = self.writes.queue();
        queue.flows.land(&mut self.batch, &Verdict::default());
        if std::mem::take(&mut self.is_coming) {
            queue.is_driver_coming = false;
        }
        // 2. The driver ends when nothing can be sent, and has help when there is more to send.
        self.batch.entries = 0;
        if !queue.flows.next(&mut self.batch) {
            queue.drivers -= 1;
            self.finished = true;
        } else if queue.wants_driver()
            && let Ok(runtime) = runtime(Operation::Write)
        {
            self.writes.spawn_driver(queue, &runtime);
        }
        !self.finished
    }

    /// Makes one call of all requests, and gives each its own results.
    async fn run(&mut self) {
        // 1. The batch has the latest deadline of its calls. Requests that nobody waits for are not
        //    sent.
        let Batch { requests, entries, .. } = &mut self.batch;
        let now = Instant::now();
        let longest = Deadline::at(now + LONGEST_BATCH);
        let deadlines = requests.iter().map(|request| request.deadline().unwrap_or(longest));
        let deadline = deadlines.max().unwrap_or(longest);
        let mut writes = WritesOfEvent::new();
        requests.retain(|request| match request.send(deadline, now) {
            Some(own) if writes.is_empty() => {
                writes = own;
                true
            }
            Some(own) => {
                writes.reserve(*entries - writes.len());
                writes.extend(own);
                true
            }
            None => {
                request.answer(Err(Error::too_late(Operation::Write)));
                false
            }
        });
        if writes.is_empty() {
            return;
        }
        // 2. It is one call of the store.
        let mut span = BatchSpan::new(Operation::Write);
        requests.iter().for_each(|request| span.link(request.caller()));
        let options = WriteOptions::default().with_deadline(deadline).with_queued();
        let answered = self.writes.store.write_batch(&writes, &options);
        let answered = answered.instrument(span.of(writes.len())).await;
        let answered = answered.and_then(|receipt| {
            check_answer_count(Operation::Write, writes.len(), receipt.results.len())?;
            Ok(receipt)
        });
        // 3. A caller that calls again as soon as there is an answer finds its room free, and what it
        //    has been told is known.
        if let Ok(receipt) = &answered {
            self.writes.seen.learn(&receipt.token);
        }
        let verdict = judge(&self.batch.requests, &answered);
        let mut queue = self.writes.queue();
        queue.flows.land(&mut self.batch, &verdict);
        //    Without more to send the driver is over: the next call finds another one at once.
        if !queue.flows.has_next() {
            queue.drivers -= 1;
            self.finished = true;
        }
        drop(queue);
        // 4. A caller that has gone away needs no answer.
        match (answered, &mut self.batch.requests[..]) {
            (Ok(receipt), [only]) => only.answer(Ok(receipt)),
            (Ok(BatchReceipt { results, token }), all) => {
                let mut results = results.into_iter();
                for request in all {
                    let own = results.by_ref().take(request.entries).collect();
                    request.answer(Ok(BatchReceipt::new(own, token.clone())));
                }
            }
            (Err(error), all) => {
                all.iter_mut().for_each(|request| request.answer(Err(error.clone())));
            }
        }
    }
}

/// What the answer to a batch tells about its events.
fn judge(requests: &[WriteRequest], answered: &Result<BatchReceipt>) -> Verdict {
    let receipt = match answered {
        Ok(receipt) => receipt,
        Err(error) => {
            let all_timed_out = matches!(error, Error::TimedOut { .. });
            return Verdict { all_timed_out, ..Verdict::default() };
        }
    };
    let has_timed_out = |result: &Result<Written>| matches!(result, Err(Error::TimedOut { .. }));
    let acknowledged = receipt.results.iter().any(Result::is_ok);
    let mut verdict = Verdict { acknowledged, ..Verdict::default() };
    if receipt.results.iter().any(has_timed_out) {
        let mut results = receipt.results.iter();
        for request in requests {
            // All of them are taken, so that the next request begins with its own.
            if results.by_ref().take(request.entries).filter(|own| has_timed_out(own)).count() > 0 {
                verdict.timed_out.insert(request.flow);
            }
        }
    }
    verdict
}

impl<S: RsvpStore + 'static> Drop for Driver<S> {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let mut queue = self.writes.queue();
        if self.is_coming {
            queue.is_driver_coming = false;
        }
        queue.flows.land(&mut self.batch, &Verdict::default());
        queue.drivers -= 1;
        if queue.drivers == 0 {
            let waiting = queue.flows.take_waiting();
            drop(queue);
            refuse(waiting, &stopped(Operation::Write));
        }
    }
}
