//! Combines the calls of many callers into few batches (natural batching).

mod batch;
mod call_progress;
mod config;
mod failure;
mod fair_queue;
mod flow_table;
mod freshness;
mod read_queue;
mod reply;
mod seen_tokens;
mod span;
mod suspects;
mod waiting_calls;
mod writes;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::task::TaskTracker;

use self::batch::{Counts, Memberships};
pub use self::config::CoalesceConfig;
use self::freshness::{KINDS, kind};
use self::read_queue::{Batch, Limits, ReadQueue};
use self::seen_tokens::SeenTokens;
use self::writes::Writes;
use crate::backend::run_to_end;
use crate::{
    BatchReceipt, Count, Error, EventId, Health, Label, LabelName, Maintenance, Operation, Page,
    PageLimit, PageRequest, ReadOptions, RemovalStep, Result, Rsvp, RsvpStore, UserId, Write,
    WriteOptions,
};

/// A store that combines many small calls into few large batches.
///
/// Calls that arrive during a batch form the next one (natural batching).
/// There is no timer, so an idle store adds no wait, and a busier store makes larger batches.
/// A hot event becomes one statement per round trip,
/// instead of thousands of statements queued for its counter.
///
/// - **Writes** wait in one queue per event.
///   The queues are served round robin (fair queueing).
///   Up to [`lanes`](CoalesceConfig::with_lanes) batches are in flight,
///   and each holds the writes of many events.
///   One event is never in flight twice, so the writes of one pair take effect in the order
///   of their calls. Each call gets the outcomes of its own writes.
/// - **Memberships and counts** are batched by the kind
///   of their [`Consistency`](crate::Consistency).
///   Each batch is as fresh as its most demanding call.
///   Concurrent counts of one event become a single count.
///   Session reads share a batch if receipts of this store have shown the positions
///   of their tokens.
///   A read with a token of another instance, or with a forged one, goes to the store alone,
///   so it delays no other read. A [`LimitStore`](super::LimitStore) inside bounds such reads.
/// - Lists and removals are passed on unchanged.
///   So is [`ready`](RsvpStore::ready), unless the queue is full and would refuse every write.
///
/// ```
/// use rsvp_core::layers::{CoalesceConfig, CoalescedStore};
/// use rsvp_core::{EventId, Result, RsvpStoreExt, UserId};
/// use rsvp_memory::MemoryStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let store = CoalescedStore::new(MemoryStore::new(), CoalesceConfig::default())?;
/// let (ann, bob, fair) = (UserId::new("ann")?, UserId::new("bob")?, EventId::new("fair")?);
/// // Both writes may go to the inner store in one batch.
/// let (one, other) = tokio::join!(store.rsvp(&ann, &fair), store.rsvp(&bob, &fair));
/// assert!(one?.outcome.is_applied() && other?.outcome.is_applied());
/// # Ok(())
/// # }
/// ```
///
/// # Isolation of events
///
/// - **A hot event waits for itself.** Events with a backlog share batches among themselves,
///   each with an equal share, and leave one lane to the other events.
///   If these do not write for a while, events with a backlog use all lanes,
///   and the next batch of the others has an extra lane.
/// - **Its room is bounded.** An event may have as many pending writes as there is free room
///   in the queue, so a single hot event fills half of it.
///   Further calls are refused at once as [`Error::Overloaded`](crate::Error::Overloaded),
///   before any effect, while other events go on.
///   A call with more entries than the free room is accepted as long
///   as its event is below its bound. A call of any size takes at most half of the queue.
/// - **A blocked event delays others once.** A batch may wait
///   for an event locked by another client of the store.
///   When the batch times out, its calls get the answers of the store.
///   Its events become suspects and are sent alone, until one of their batches succeeds.
///   Suspects have as many lanes again, at least two.
///   Events that have timed out alone use at most half of these.
///   The queue remembers as many suspects as a batch has entries.
///
/// # Guarantees kept and weakened
///
/// Every rule of the contract holds. The session token of a write stands for its whole batch.
/// A failed entry fails alone.
/// A batch that fails as a whole gives its error to every caller in it, with its effect.
/// If the store panics, the callers of that batch get an error of pending effect,
/// and other calls are not affected.
///
/// - **Dropping a call** does not recall a queued write.
///   The write takes effect in its turn, by the deadline of its batch,
///   which may be later than its own. A queued read without a caller is not sent.
///   Its room is given back when its turn comes.
/// - **Deadlines are kept.** A queued call is not sent after its deadline.
///   A batch has the latest deadline of its calls, with 30 s for a call without one.
///   If the deadline of a caller passes during its batch, the caller gets [`Error::TimedOut`].
///   A write is then [pending](crate::Effect::Pending) until its batch is over.
///   If the deadline of the batch is at most 250 ms later, the caller waits up to 250 ms longer
///   for the outcome of the batch.
/// - **Late reads do not make others late.** At overload the oldest queued read has little time
///   left. If it has less than one and a half times the duration of the last batch,
///   the newest reads are sent before it
///   ([adaptive LIFO](https://queue.acm.org/detail.cfm?id=2839461)).
///   A read without a deadline is sent when it is the oldest, at the latest.
/// - **Batches run on Tokio tasks**, on the runtime of a caller that found a batch to send.
///   A caller without a runtime is refused, unless other callers' batches are in flight.
///   When the runtime shuts down, its queued calls are answered with an error.
///   A runtime of one thread must be kept running as long as other callers wait.
/// - **Batches wait for a limit.** A [`LimitStore`](super::LimitStore) inside lets them wait
///   for their turn and refuses none.
///   A batch without a turn by its deadline fails as [`Error::Overloaded`] and makes no suspects.
///   `ready` is refused while other calls fill the limit, although a write would wait.
/// - **Removals are not queued.** A step of a removal overtakes queued writes
///   of the same event or user. These writes take effect after it.
///
/// A call with writes to several events may go in several batches, and gets their combined results.
/// The writes of one call to one event are in one batch.
///
/// Every batch is a span `rsvp_batch` of the crate `tracing`, at the level debug
/// and with the target `rsvp`. It follows from the spans of up to 128 of its callers.
pub struct CoalescedStore<S> {
    store: Arc<S>,
    config: CoalesceConfig,
    writes: Arc<Writes<S>>,
    memberships: [Arc<ReadQueue<S, Memberships>>; KINDS],
    counts: [Arc<ReadQueue<S, Counts>>; KINDS],
    seen: Arc<SeenTokens>,
    tasks: TaskTracker,
}

impl<S: RsvpStore + 'static> CoalescedStore<S> {
    /// Coalesces the calls of `store`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the name of a setting out of range: `coalesce_lanes`,
    /// `coalesce_reads`, `coalesce_batch` or `coalesce_pending`.
    pub fn new(store: S, config: CoalesceConfig) -> Result<Self> {
        config.check()?;
        let store = Arc::new(store);
        let (seen, tasks) = (Arc::default(), TaskTracker::new());
        Ok(Self {
            writes: Writes::new(store.clone(), &config, Arc::clone(&seen), tasks.clone()),
            memberships: read_queues(&store, &config, &tasks),
            counts: read_queues(&store, &config, &tasks),
            store,
            config,
            seen,
            tasks,
        })
    }

    /// Returns the inner store.
    pub fn get_ref(&self) -> &S {
        &self.store
    }

    /// Returns the inner store, shared with the batches in flight.
    pub fn into_inner(self) -> Arc<S> {
        self.store
    }

    /// Returns the number of waiting entries and entries in flight, in all queues.
    pub fn pending(&self) -> usize {
        let memberships = self.memberships.iter().map(|queue| queue.pending());
        let counts = self.counts.iter().map(|queue| queue.pending());
        self.writes.pending() + memberships.chain(counts).sum::<usize>()
    }

    fn refuse_if_closed(&self, operation: Operation) -> Result<()> {
        if self.tasks.is_closed() { Err(Error::closed(operation)) } else { Ok(()) }
    }

    /// Reads through the queue of its kind.
    async fn read<B: Batch>(
        &self,
        queues: &[Arc<ReadQueue<S, B>>; KINDS],
        entries: &[B::Entry],
        options: &ReadOptions,
    ) -> Result<Vec<Result<B::Answer>>> {
        let kind = kind(&options.consistency, &self.seen);
        match kind.and_then(|kind| queues.get(kind)) {
            Some(queue) => queue.call(entries, options.consistency.clone(), options.deadline).await,
            None => {
                self.refuse_if_closed(B::OPERATION)?;
                B::run(&*self.store, entries.to_vec(), options.clone()).await
            }
        }
    }
}

/// Makes a queue for each kind of reads.
fn read_queues<S: RsvpStore + 'static, B: Batch>(
    store: &Arc<S>,
    config: &CoalesceConfig,
    tasks: &TaskTracker,
) -> [Arc<ReadQueue<S, B>>; KINDS] {
    let CoalesceConfig { concurrent_reads, max_batch, max_pending, .. } = *config;
    let limits = Limits { width: concurrent_reads, max_batch, max_pending };
    std::array::from_fn(|_| ReadQueue::new(store.clone(), limits, tasks.clone()))
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
        // 1. Refuse new calls.
        self.writes.close();
        self.memberships.iter().for_each(|queue| queue.close());
        self.counts.iter().for_each(|queue| queue.close());
        self.tasks.close();
        // 2. Finish the queued calls, then close the inner store, even if the caller stops waiting.
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
