//! The writes of a coalesced store. Calls become requests, and drivers send them in batches.

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
use super::fair_queue::{Batch, FairQueue, Verdict};
use super::reply::{Reply, WriteRequest, WritesOfEvent};
use super::seen_tokens::SeenTokens;
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
    /// All unfinished tasks of the store.
    tasks: TaskTracker,
    queue: Mutex<Queue>,
}

struct Queue {
    flows: FairQueue,
    /// The number of tasks that take batches. Requests wait only while there is one.
    drivers: usize,
    /// Whether a spawned driver has not taken a batch yet. There is at most one.
    /// It spawns the next driver if there is more to send.
    is_driver_coming: bool,
    /// The runtime of a caller that relies on the coming driver. If the runtime of that driver
    /// ends first, the next driver runs here.
    heir: Option<Handle>,
    closed: bool,
}

impl<S: RsvpStore + 'static> Writes<S> {
    pub(super) fn new(
        store: Arc<S>,
        config: &CoalesceConfig,
        seen: Arc<SeenTokens>,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        let flows = FairQueue::new(config);
        let queue = Queue { flows, drivers: 0, is_driver_coming: false, heir: None, closed: false };
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
        // 1. The usual call has a single event.
        if let Some((first, others)) = writes.split_first()
            && others.iter().all(|write| write.rsvp.event == first.rsvp.event)
        {
            let reply = Reply::new(deadline, [WritesOfEvent::from(writes)]);
            let request = reply.request(0, writes.len());
            self.submit(|queue| queue.push(&first.rsvp.event, request))?;
            let answer = reply.answers(began, || self.store.settling_time()).await.pop();
            return answer.unwrap_or_else(|| Ok(BatchReceipt::default()));
        }
        // 2. Boxing the other case keeps the future of the usual call small.
        Box::pin(self.call_events(writes, deadline, began)).await
    }

    /// Queues the writes of a call to several events.
    async fn call_events(
        self: &Arc<Self>,
        writes: &[Write],
        deadline: Option<Deadline>,
        began: Option<Instant>,
    ) -> Result<BatchReceipt> {
        // 1. Divide the writes by event, outside of the lock.
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

    /// Queues requests.
    /// If a batch can be sent and no driver is coming, it spawns one on the caller's runtime.
    fn submit(self: &Arc<Self>, push: impl FnOnce(&mut Queue)) -> Result<()> {
        let mut queue = self.queue();
        if queue.closed {
            return Err(Error::closed(Operation::Write));
        }
        push(&mut queue);
        if queue.wants_driver() {
            match runtime(Operation::Write) {
                Ok(runtime) => self.spawn_driver(queue, &runtime),
                // A caller without a runtime relies on the existing drivers.
                Err(_) if queue.drivers > 0 => {}
                Err(error) => {
                    let waiting = queue.flows.take_waiting();
                    drop(queue);
                    refuse(waiting, &error);
                }
            }
        } else if queue.is_driver_coming && queue.heir.is_none() {
            queue.heir = Handle::try_current().ok();
        }
        Ok(())
    }

    fn spawn_driver(self: &Arc<Self>, mut queue: MutexGuard<'_, Queue>, runtime: &Handle) {
        queue.drivers += 1;
        queue.is_driver_coming = true;
        // Create the driver here and not in the task.
        // A runtime that is shutting down may never poll the task.
        let driver = Driver::new(self.clone());
        // A stopped runtime drops the task at once. The task's `Drop` takes the lock.
        drop(queue);
        drop(runtime.spawn(driver.drive()));
    }

    /// Refuses new calls. Queued calls are still run.
    pub(super) fn close(&self) {
        self.queue().closed = true;
    }

    pub(super) fn pending(&self) -> usize {
        self.queue().flows.pending()
    }

    /// Returns whether a write of any event would be refused now.
    pub(super) fn is_full(&self) -> bool {
        self.queue().flows.is_full()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Code under the lock does not panic.
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

    /// Returns whether there is a batch to send and no driver is coming to send it.
    fn wants_driver(&mut self) -> bool {
        !self.is_driver_coming && self.flows.has_next()
    }
}

/// Refuses requests that no driver will send. It wakes callers, so the lock must be free.
fn refuse(waiting: Vec<WriteRequest>, error: &Error) {
    for mut request in waiting {
        request.answer(Err(error.clone()));
    }
}

/// A task that takes batches from the queue.
///
/// A runtime that shuts down drops it before it has finished.
/// Then it leaves the queue to the other drivers.
struct Driver<S: RsvpStore + 'static> {
    writes: Arc<Writes<S>>,
    /// Whether it has not taken a batch yet.
    is_coming: bool,
    /// The batch in flight.
    batch: Batch,
    finished: bool,
    /// Keeps the task tracker waiting until this driver has ended.
    _token: TaskTrackerToken,
}

impl<S: RsvpStore + 'static> Driver<S> {
    fn new(writes: Arc<Writes<S>>) -> Self {
        let _token = writes.tasks.token();
        Self { writes, is_coming: true, batch: Batch::default(), finished: false, _token }
    }

    /// Runs batches until there is nothing left to send.
    // The bound is written out because the future spawns others of its own kind.
    #[allow(clippy::manual_async_fn, reason = "its type has to be known to be `Send` inside of it")]
    fn drive(mut self) -> impl Future<Output = ()> + Send {
        async move {
            while !self.finished
                && let Some(now) = self.next()
            {
                let _ = AssertUnwindSafe(self.run(now)).catch_unwind().await;
                // A store that answers at once never yields. Let other tasks have their turn.
                consume_budget().await;
            }
        }
    }

    /// Takes the next batch, of requests whose deadlines have not passed.
    /// Returns the moment of that, or `None` if there is no batch.
    fn next(&mut self) -> Option<Instant> {
        // 1. Return the flows of a batch that panicked or was not sent.
        //    The callers of a panicked batch get an error when this function drops their requests.
        let _lost = std::mem::take(&mut self.batch.requests);
        let now = Instant::now();
        let mut queue = self.writes.queue();
        queue.flows.land(&mut self.batch, &Verdict::default());
        if std::mem::take(&mut self.is_coming) {
            queue.is_driver_coming = false;
            queue.heir = None;
        }
        // 2. End if nothing can be sent. Spawn another driver if there is more to send.
        self.batch.entries = 0;
        if !queue.flows.next(&mut self.batch, now) {
            queue.drivers -= 1;
            self.finished = true;
            drop(queue);
        } else if queue.wants_driver()
            && let Ok(runtime) = runtime(Operation::Write)
        {
            self.writes.spawn_driver(queue, &runtime);
        } else {
            drop(queue);
        }
        // 3. Requests after their deadlines are not sent.
        for mut late in std::mem::take(&mut self.batch.expired) {
            late.answer(Err(Error::too_late(Operation::Write)));
        }
        (!self.finished).then_some(now)
    }

    /// Makes one call of the store for all requests, and gives each its own results.
    async fn run(&mut self, now: Instant) {
        // 1. The batch has the latest deadline of its calls.
        //    Requests whose callers have given up are not sent.
        let Batch { requests, entries, .. } = &mut self.batch;
        let longest = Deadline::at(now + LONGEST_BATCH);
        let deadlines = requests.iter().map(|request| request.deadline().unwrap_or(longest));
        let deadline = deadlines.max().unwrap_or(longest);
        let mut writes = WritesOfEvent::new();
        requests.retain(|request| match request.send(deadline) {
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
        // 2. Make one call of the store.
        let mut span = BatchSpan::new(Operation::Write);
        requests.iter().for_each(|request| span.link(request.caller()));
        let options = WriteOptions::default().with_deadline(deadline).with_queued();
        let answered = self.writes.store.write_batch(&writes, &options);
        let answered = answered.instrument(span.of(writes.len())).await;
        let answered = answered.and_then(|receipt| {
            check_answer_count(Operation::Write, writes.len(), receipt.results.len())?;
            Ok(receipt)
        });
        // 3. Record the token and free the room before the answers,
        //    so that a caller's next call finds both.
        if let Ok(receipt) = &answered {
            self.writes.seen.learn(&receipt.token);
        }
        let verdict = judge(&self.batch.requests, &answered);
        let mut queue = self.writes.queue();
        queue.flows.land(&mut self.batch, &verdict);
        //    Without more to send the driver ends. The next call spawns another one at once.
        if !queue.flows.has_next() {
            queue.drivers -= 1;
            self.finished = true;
        }
        drop(queue);
        // 4. Answer each request. A caller that has gone away needs no answer.
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

/// Returns the information of a finished batch about its flows.
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
            // `count` consumes all results of the request, so the next request begins with its own.
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
        // The heir is taken, so that a driver on another runtime that has ended is the last one.
        let heir = queue.heir.take();
        if queue.wants_driver()
            && let Some(heir) = heir
        {
            self.writes.spawn_driver(queue, &heir);
        } else if queue.drivers == 0 {
            let waiting = queue.flows.take_waiting();
            drop(queue);
            refuse(waiting, &stopped(Operation::Write));
        }
    }
}
