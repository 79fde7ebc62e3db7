//! The count cache as a store.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use super::config::CountCacheConfig;
use super::refresh_room::Room;
use super::removals::RunningStep;
use super::table::Table;
use super::tally::Tally;
use super::writing::{EventWrites, Writing};
use crate::backend::run_to_end;
use crate::{
    BatchReceipt, Consistency, Count, Error, EventId, Health, Label, LabelName, Maintenance,
    Operation, Page, PageLimit, PageRequest, ReadOptions, RemovalStep, Result, Rsvp, RsvpStore,
    UserId, Write, WriteOptions,
};

/// A store that answers counts from memory, if the caller accepts an older count.
///
/// - [`Consistency::Bounded`] is answered from memory within the bound
///   and within [`max_age`](CountCacheConfig::with_max_age).
///   [`Count::age`] tells the age of the answer.
///   [`Consistency::Eventual`] is answered within `max_age`.
/// - [`Consistency::Strong`] and a bound of zero go to the store.
///   So does [`Consistency::Session`], unless the cached count is known to have every write
///   of the session, see [Sessions](#sessions).
/// - The cache reads the count of an event once in each period, at strong consistency,
///   on a task of its own (single flight). All callers share the answer or the error.
///   A caller that gives up does not end the read, so the next callers find its answer in memory.
/// - Writes through this cache with the outcome [`Applied`](crate::Outcome::Applied) move the count
///   in memory. So the next count shows a user's own RSVP.
/// - A count does not go back for a caller.
///   If a read that went to the store saw a different count, the cached one becomes that count,
///   or is read again.
/// - Everything else is passed on.
///
/// ```
/// use rsvp_core::layers::{CountCacheConfig, LayerExt};
/// use rsvp_core::{Consistency, EventId, RsvpStoreExt, UserId};
/// use rsvp_memory::MemoryStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> rsvp_core::Result<()> {
/// // Two instances of a service. The first one has a cache.
/// let shared = std::sync::Arc::new(MemoryStore::new());
/// let cached = shared.clone().with_count_cache(CountCacheConfig::default())?;
/// let (fair, ann) = (EventId::new("fair")?, UserId::new("ann")?);
/// assert_eq!(cached.rsvp_count(&fair).await?.value, 0);
/// let receipt = shared.rsvp(&ann, &fair).await?;
/// assert_eq!(cached.rsvp_count(&fair).await?.value, 0, "up to 5 s old");
/// let session = Consistency::Session(receipt.token);
/// assert_eq!(cached.rsvp_count_with(&fair, session).await?.value, 1);
/// assert_eq!(cached.rsvp_count(&fair).await?.value, 1, "it does not go back");
/// # Ok(())
/// # }
/// ```
///
/// # Guarantees kept and weakened
///
/// The contract holds, with a wider meaning of [`Count`].
/// A count from memory was exact at a moment within its age,
/// *and was then moved by the later writes through this cache*.
/// It lacks the later writes of other clients.
///
/// A write without an [`Applied`](crate::Outcome::Applied) answer counts as a write
/// of another client. An example is a write that takes effect after its caller has gone.
/// It shows within the period, and at once at [`Consistency::Session`].
/// After a [repeated](crate::Written::repeated) write the count is read again.
///
/// ## Writes and refreshes
///
/// A count that is read during a write of its event may or may not have that write.
/// So the writes of an event and the refresh of its count wait for each other, once in a period.
/// They wait for the calls in flight, and for a twentieth of `max_age` at most, within 50
/// and 250 ms. An event without a cached count has no such fence.
///
/// The two may still overlap, because a write took longer, failed with unknown effect,
/// or lost its caller. Then the count stays as it was read.
/// It is kept for a twentieth of `max_age`, and only
/// until the store acknowledges a write of the event.
/// The count may lack this write, so it is read again.
/// As a consequence, a store with writes longer than the fence is asked for the count
/// of a hot event more often, one read after another.
/// The same happens to an event that leaves the full cache while it is read and written.
///
/// ## Sessions
///
/// The tokens of this cache's own receipts tell the positions of the store at the time of a read.
/// A count answers [`Consistency::Session`] from memory if each position of the token comes
/// before those. All other tokens go to the store:
///
/// - empty tokens, because the store has no positions
/// - tokens of receipts newer than the count
/// - forged tokens, of which nothing is kept
///
/// A count from a replica has an age, and is not cached.
/// If it differs from the cached count, the next caller has the count read again.
/// A strong or session read during writes of the same event may cause one more read of the store,
/// too.
///
/// ## Removals
///
/// After a [`remove_event_step`](RsvpStore::remove_event_step) the event's count is read again.
/// Before a [`remove_user_step`](RsvpStore::remove_user_step) the cache lists the events
/// of the user, at strong consistency, and reads their counts again after the step.
/// That costs one more read for each step.
/// All counts are read again if the user has more than 10,000 events, if the list fails, or
/// if the step removes more RSVPs than the list has events.
/// Another instance may add an RSVP of the user between the list and the step.
/// If the step removes it, it may be counted until the period is over.
///
/// ## Failures
///
/// With [`stale_if_error`](CountCacheConfig::with_stale_if_error) a count may be older than the
/// caller's bound while the store fails.
/// One caller a second then asks the store again, and no other caller waits for that.
///
/// # Waits
///
/// Counts missing in memory are read in one call of the store for any number of events.
/// A caller waits for counts that another call is reading.
/// Events with a failed last read are read in a call apart, so that they do not delay the others.
/// A caller waits until its deadline, or 250 ms longer for the end of its own read.
///
/// A read ends by the deadline of its first caller, but has at least 250 ms.
/// So a sharded store can answer for the shards that do not hang.
/// If the read did not end by then, the next read of these events has 10 s,
/// because the store may need longer than its callers wait.
/// The read of a caller without a deadline has 10 s, too.
/// The timeouts of the store usually end it before.
///
/// At most 1,024 reads run side by side, and further callers wait for one of these.
/// A read that takes longer than the fence leaves its place to others,
/// and becomes one of at most 8,192 slow reads.
/// If it gets no such place within 750 ms, it ends as
/// [`Error::Overloaded`](crate::Error::Overloaded).
/// So a shard that hangs delays the counts of the other shards by 250 ms
/// for each 1,024 of its events that are asked for at once, and by nothing once they have failed.
/// A [`LimitStore`](crate::layers::LimitStore) inside refuses none of these reads.
///
/// [`close`](RsvpStore::close) waits for the reads in flight.
/// They run on tasks of the Tokio runtime of their first caller.
/// If it shuts down, the waiting callers get an error, and the next caller reads again.
/// Without a runtime a caller reads by itself, and nothing waits at a fence.
pub struct CountCache<S> {
    pub(super) store: Arc<S>,
    pub(super) config: CountCacheConfig,
    pub(super) table: Arc<Table>,
    pub(super) room: Room,
    /// The tasks of refreshes.
    pub(super) tasks: TaskTracker,
}

impl<S: RsvpStore + 'static> CountCache<S> {
    /// Keeps counts of `store` in memory.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) with the name of a setting out of range:
    /// `count_cache`, `stale_if_error` or `count_cache_capacity`.
    pub fn new(store: S, config: CountCacheConfig) -> Result<Self> {
        config.check()?;
        let capacity = usize::try_from(config.capacity).unwrap_or(usize::MAX);
        Ok(Self {
            store: Arc::new(store),
            config,
            table: Arc::new(Table::new(capacity, config.fence_timeout())),
            room: Room::new(),
            tasks: TaskTracker::new(),
        })
    }

    /// Returns the inner store. Direct writes to it do not move the counts in memory.
    pub fn get_ref(&self) -> &S {
        &self.store
    }

    /// Returns the inner store, shared with the refreshes in flight.
    pub fn into_inner(self) -> Arc<S> {
        self.store
    }

    /// Sends writes to the store, and records their changes of counts.
    async fn write<'a, E: AsMut<[EventWrites<'a>]> + Send>(
        &'a self,
        events: E,
        writes: &'a [Write],
        options: &'a WriteOptions,
    ) -> Result<BatchReceipt> {
        let mut writing = Writing::new(&self.table, events, writes);
        let call = self.store.write_batch(writes, options);
        let answer = writing.run(options.deadline, Tally::unknown(), call).await;
        match &answer {
            Ok(receipt) => {
                self.table.acknowledge(&receipt.token);
                writing.answered(&receipt.results);
            }
            Err(error) => writing.failed(error),
        }
        answer
    }
}

impl<S: fmt::Debug> fmt::Debug for CountCache<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CountCache")
            .field("store", &self.store)
            .field("config", &self.config)
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: RsvpStore + 'static> RsvpStore for CountCache<S> {
    async fn write_batch(&self, writes: &[Write], options: &WriteOptions) -> Result<BatchReceipt> {
        match writes {
            [write] => {
                let events = [EventWrites::new(&write.rsvp.event)];
                self.write(events, writes, options).await
            }
            _ => {
                let events = EventWrites::of(writes.iter().map(|write| &write.rsvp.event));
                self.write(events, writes, options).await
            }
        }
    }

    async fn has_rsvped_batch(
        &self,
        pairs: &[Rsvp],
        options: &ReadOptions,
    ) -> Result<Vec<Result<bool>>> {
        self.store.has_rsvped_batch(pairs, options).await
    }

    async fn rsvp_count_batch(
        &self,
        events: &[EventId],
        options: &ReadOptions,
    ) -> Result<Vec<Result<Count>>> {
        if self.tasks.is_closed() {
            return Err(Error::closed(Operation::RsvpCount));
        }
        if let Some(bounds) = self.bounds(&options.consistency) {
            // The usual call has one event, and its count is in memory.
            if let [event] = events
                && let Some(count) = self.table.hit(event, &bounds)
            {
                return Ok(vec![Ok(count)]);
            }
            return Ok(self.cached(events, bounds, options.deadline).await);
        }
        match options.consistency {
            Consistency::Session(_) => self.of_session(events, options).await,
            _ => self.read_through(events, options).await,
        }
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        self.store.attendees_page(event, request).await
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        self.store.events_of_page(user, request).await
    }

    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
        self.store.scan_page(request).await
    }

    async fn remove_event_step(
        &self,
        event: &EventId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        let mut writing = Writing::new(&self.table, [EventWrites::new(event)], &[]);
        let call = self.store.remove_event_step(event, limit, options);
        let step = writing.run(options.deadline, Tally::unknown(), call).await;
        match &step {
            Ok(step) => {
                self.table.acknowledge(&step.token);
                writing.removed();
            }
            Err(error) => writing.failed(error),
        }
        step
    }

    async fn remove_user_step(
        &self,
        user: &UserId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        // 1. List the events with counts that may change.
        let mut running = RunningStep::new(&self.table, user);
        let events = running.list_events(&*self.store, options.deadline).await;
        // 2. The step is a write of these events. Without an answer their counts are read again.
        let mut writing = Writing::new(&self.table, EventWrites::of(events.iter()), &[]);
        let call = self.store.remove_user_step(user, limit, options);
        let step = writing.run(options.deadline, Tally::uncounted(), call).await;
        match &step {
            Ok(step) => {
                self.table.acknowledge(&step.token);
                running.removed(step.removed, events.len());
                writing.removed();
            }
            Err(error) => {
                running.failed(error);
                writing.failed(error);
                writing.make_uncounted();
            }
        }
        step
    }

    async fn label(&self, name: &LabelName, options: &ReadOptions) -> Result<Option<Label>> {
        self.store.label(name, options).await
    }

    async fn replace_label(
        &self,
        name: &LabelName,
        expected: Option<&Label>,
        value: &Label,
        options: &WriteOptions,
    ) -> Result<Option<Label>> {
        self.store.replace_label(name, expected, value, options).await
    }

    async fn ready(&self) -> Result<()> {
        self.store.ready().await
    }

    async fn health(&self) -> Health {
        self.store.health().await
    }

    async fn close(&self) -> Result<()> {
        // 1. Begin no more refreshes.
        self.tasks.close();
        // 2. Finish those in flight, then close the inner store, even if the caller stops waiting.
        let (tasks, store) = (self.tasks.clone(), self.store.clone());
        let close = async move {
            tasks.wait().await;
            store.close().await
        };
        match Handle::try_current() {
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
