//! Many callers, few batches.

mod batch;
mod config;
mod failure;
mod flows;
mod freshness;
mod lane;
mod patience;
mod reply;
mod seen;
mod span;
mod suspects;
mod table;
mod writes;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::task::TaskTracker;

use self::batch::{Counts, Memberships};
pub use self::config::CoalesceConfig;
use self::freshness::{BEYOND, KINDS, kind};
use self::lane::{Batch, Lane, Limits};
use self::seen::SeenTokens;
use self::writes::Writes;
use crate::backend::run_to_end;
use crate::{
    BatchReceipt, Count, Error, EventId, Health, Label, LabelName, Maintenance, Operation, Page,
    PageLimit, PageRequest, ReadOptions, RemovalStep, Result, Rsvp, RsvpStore, UserId, Write,
    WriteOptions,
};

/// A store that makes few large batches out of many small calls.
///
/// Calls that arrive while a batch is in flight form the next one (natural batching: there is no
/// timer, so an idle store adds no wait, and the busier it is the larger are its batches). A hot
/// event becomes one statement for each round trip instead of thousands that queue for its
/// counter.
///
/// - **Writes** wait in one queue by event and are served round robin (fair queueing). Up to
///   [`lanes`](CoalesceConfig::with_lanes) batches are in flight, each of as many events as wait.
///   One event is never in flight twice, so the writes of one pair take effect in the order in which
///   they were called. Each call gets the outcomes of its own writes.
/// - **Memberships and counts** are batched by the kind of their
///   [`Consistency`](crate::Consistency), each batch as fresh as its most demanding call. An event
///   whose count many ask for is asked for once. Session reads share a batch if receipts of this
///   store have shown the positions of their tokens. A token of another instance, or a forged one,
///   shares a batch with equal tokens only, so it makes no other read wait.
/// - Lists and removals are passed on as they are, and so is [`ready`](RsvpStore::ready), unless the
///   queue is full and would refuse every write.
///
/// # One event does not take down others
///
/// - **A hot event waits for itself.** Events with a backlog share batches among themselves, with an
///   equal share each, and leave one lane to the others.
/// - **Its room is bounded.** An event may have as many writes pending as there is free room in the
///   queue, so a single hot event fills half of it. Beyond that it is refused at once as
///   [`Error::Overloaded`](crate::Error::Overloaded), before any effect, while others go on. A call of
///   more entries than there is room for is accepted as long as its event is below its bound.
/// - **A blocked event delays others once.** A batch may wait for an event that another client of
///   the store has locked. When it times out, its calls get the answers of the store, and its events
///   are sent alone from then on, in at most as many batches again (at least two), until a batch of
///   theirs succeeds. Events that have timed out alone use at most half of these. As many suspects as a
///   batch has entries are remembered.
///
/// # What it preserves, and what it weakens
///
/// Everything of the contract is kept. A session token stands for the whole batch that a write was
/// part of. An entry that fails fails alone, and a batch that fails as a whole gives its error to
/// every caller in it, with its effect. If the store panics, the callers of that batch get an error
/// of pending effect, and no other call notices.
///
/// - **Dropping a call** does not recall a queued write: it takes effect in its turn. A queued
///   read whose caller has gone is not made; its room is given back when its turn comes.
/// - **Deadlines are kept.** A queued call whose deadline has passed is not sent. A batch has the
///   latest deadline of its calls, or 30 s for a call without one. A caller whose deadline passes
///   while its batch is in flight gets [`Error::TimedOut`], and a write is then
///   [pending](crate::Effect::Pending) until its batch is over. If the deadline is that of the batch
///   as well, the caller waits up to a quarter of a second for the outcome of the batch.
/// - Batches run on tasks of the Tokio runtime of a caller that found a batch to send. Without a
///   runtime that caller is refused, unless others send batches already. When the runtime shuts
///   down, its queued calls are answered with an error. A runtime of one thread must be kept running
///   for as long as others wait.
/// - **Batches wait for a limit.** A [`LimitStore`](super::LimitStore) inside lets them wait for
///   their turn and refuses none.
/// - **Removals are not queued.** A step of a removal overtakes queued writes of the same event or
///   user, which take effect after it.
/// - **A dropped write keeps the deadline of its batch**, which may be later than its own.
///
/// A call that writes to several events may go in several batches, whose results are put together. The
/// writes of one call to one event are in one batch.
///
/// Every batch is a span `rsvp_batch` of the crate `tracing`, at the level debug and with the target
/// `rsvp`. It follows from the spans of its callers, of up to 128.
pub struct CoalescedStore<S> {
    store: Arc<S>,
    config: CoalesceConfig,
    writes: Arc<Writes<S>>,
    memberships: [Arc<Lane<S, Memberships>>; KINDS],
    counts: [Arc<Lane<S, Counts>>; KINDS],
    seen: Arc<SeenTokens>,
    tasks: TaskTracker,
}

impl<S: RsvpStore + 'static> CoalescedStore<S> {
    /// Coalesces the calls of `store`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the name of the setting that is out of range:
    /// `coalesce_lanes`, `coalesce_reads`, `coalesce_batch` or `coalesce_pending`.
    pub fn new(store: S, config: CoalesceConfig) -> Result<Self> {
        config.check()?;
        let store = Arc::new(store);
        let (seen, tasks) = (Arc::default(), TaskTracker::new());
        Ok(Self {
            writes: Writes::new(store.clone(), &config, Arc::clone(&seen), tasks.clone()),
            memberships: lanes(&store, &config, &tasks),
            counts: lanes(&store, &config, &tasks),
            store,
            config,
            seen,
            tasks,
        })
    }

    /// The store inside.
    pub fn get_ref(&self) -> &S {
        &self.store
    }

    /// The store inside, shared with the batches that are still in flight.
    pub fn into_inner(self) -> Arc<S> {
        self.store
    }

    /// How many entries wait or are in flight, in all queues.
    pub fn pending(&self) -> usize {
        let memberships = self.memberships.iter().map(|lane| lane.pending());
        let counts = self.counts.iter().map(|lane| lane.pending());
        self.writes.pending() + memberships.chain(counts).sum::<usize>()
    }

    fn refuse_if_closed(&self, operation: Operation) -> Result<()> {
        if self.tasks.is_closed() { Err(Error::closed(operation)) } else { Ok(()) }
    }

    /// Reads through the queue of its kind.
    async fn read<B: Batch>(
        &self,
        lanes: &[Arc<Lane<S, B>>; KINDS],
        entries: &[B::Entry],
        options: &ReadOptions,
    ) -> Result<Vec<Result<B::Answer>>> {
        let Some(lane) = lanes.get(kind(&options.consistency, &self.seen)) else {
            return Err(Error::overloaded(B::OPERATION));
        };
        lane.call(entries, options.consistency.clone(), options.deadline).await
    }
}

/// A queue for each kind of reads.
fn lanes<S: RsvpStore + 'static, B: Batch>(
    store: &Arc<S>,
    config: &CoalesceConfig,
    tasks: &TaskTracker,
) -> [Arc<Lane<S, B>>; KINDS] {
    let CoalesceConfig { concurrent_reads, max_batch, max_pending, .. } = *config;
    std::array::from_fn(|kind| {
        let only_equal = kind == BEYOND;
        let limits = Limits { width: concurrent_reads, max_batch, max_pending, only_equal };
        Lane::new(store.clone(), limits, tasks.clone())
    })
}

impl<S: fmt::Debug> fmt::Debug for CoalescedStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoalescedStore")
            .field("store", &self.store)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: RsvpStore + 'static> RsvpStore for CoalescedStore<S> {
    async fn write_batch(&self, writes: &[Write], options: &WriteOptions) -> Result<BatchReceipt> {
        if writes.is_empty() {
            return Ok(BatchReceipt::default());
        }
        self.writes.call(writes, options.deadline).await
    }

    async fn has_rsvped_batch(
        &self,
        pairs: &[Rsvp],
        options: &ReadOptions,
    ) -> Result<Vec<Result<bool>>> {
        if pairs.is_empty() {
            return Ok(Vec::new());
        }
        self.read(&self.memberships, pairs, options).await
    }

    async fn rsvp_count_batch(
        &self,
        events: &[EventId],
        options: &ReadOptions,
    ) -> Result<Vec<Result<Count>>> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        self.read(&self.counts, events, options).await
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        self.refuse_if_closed(Operation::Attendees)?;
        self.store.attendees_page(event, request).await
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        self.refuse_if_closed(Operation::EventsOf)?;
        self.store.events_of_page(user, request).await
    }

    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
        self.refuse_if_closed(Operation::Scan)?;
        self.store.scan_page(request).await
    }

    async fn remove_event_step(
        &self,
        event: &EventId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        self.refuse_if_closed(Operation::RemoveEvent)?;
        let step = self.store.remove_event_step(event, limit, options).await?;
        self.seen.learn(&step.token);
        Ok(step)
    }

    async fn remove_user_step(
        &self,
        user: &UserId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        self.refuse_if_closed(Operation::RemoveUser)?;
        let step = self.store.remove_user_step(user, limit, options).await?;
        self.seen.learn(&step.token);
        Ok(step)
    }

    async fn label(&self, name: &LabelName, options: &ReadOptions) -> Result<Option<Label>> {
        self.refuse_if_closed(Operation::Label)?;
        self.store.label(name, options).await
    }

    async fn replace_label(
        &self,
        name: &LabelName,
        expected: Option<&Label>,
        value: &Label,
        options: &WriteOptions,
    ) -> Result<Option<Label>> {
        self.refuse_if_closed(Operation::ReplaceLabel)?;
        self.store.replace_label(name, expected, value, options).await
    }

    async fn ready(&self) -> Result<()> {
        self.refuse_if_closed(Operation::Ready)?;
        if self.writes.is_full() {
            return Err(Error::overloaded(Operation::Ready));
        }
        self.store.ready().await
    }

    async fn health(&self) -> Health {
        match self.refuse_if_closed(Operation::Ready) {
            Ok(()) => self.store.health().await,
            Err(closed) => Health::of_whole(Err(closed)),
        }
    }

    async fn close(&self) -> Result<()> {
        // 1. Nothing is queued from now on.
        self.writes.close();
        self.memberships.iter().for_each(|lane| lane.close());
        self.counts.iter().for_each(|lane| lane.close());
        self.tasks.close();
        // 2. The queued calls are finished, then the store inside is closed, also when the caller
        //    does not wait for it.
        let (tasks, store) = (self.tasks.clone(), self.store.clone());
        let close = async move {
            tasks.wait().await;
            store.close().await
        };
        match failure::runtime(Operation::Close) {
            Ok(_) => run_to_end(Operation::Close, close).await,
            Err(_) => close.await,
        }
    }

    fn settling_time(&self) -> Duration {
        self.store.settling_time()
    }

    fn maintenance(&self) -> Option<&dyn Maintenance> {
        self.store.maintenance()
    }
}
