//! Counts from memory, as fresh as asked.
//!
//! | file | idea |
//! |---|---|
//! | `table` | the entries of the events that are asked for, in a lock-free map |
//! | `eviction` | which entry goes when the table is full |
//! | `entry` | the refresh lock of one event, its last failure, and the way to its count |
//! | `cached` | that count, and the reads and writes that change it |
//! | `snapshot` | the count of an entry for readers that take no lock |
//! | `validity` | the states of a count, and the events that change them: a state table |
//! | `clock` | the ticks that order reads and writes: a diagram and an example |
//! | `fence` | how writes and refreshes of an event keep apart |
//! | `caller`, `read`, `refresh` | a caller's bounds, the ways of a read, and the one read of the store for all who wait |
//! | `writing`, `tally`, `removals` | calls that write, and what they make of counts |

mod cached;
mod caller;
mod clock;
mod config;
mod entry;
mod eviction;
mod fence;
mod read;
mod refresh;
mod removals;
mod snapshot;
mod table;
mod tally;
mod validity;
mod writing;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

pub use self::config::CountCacheConfig;
use self::read::MOST_REFRESHES;
use self::removals::RunningStep;
use self::table::Table;
use self::tally::Tally;
use self::writing::{EventWrites, Writing};
use crate::backend::run_to_end;
use crate::{
    BatchReceipt, Consistency, Count, Error, EventId, Health, Label, LabelName, Maintenance,
    Operation, Page, PageLimit, PageRequest, ReadOptions, RemovalStep, Result, Rsvp, RsvpStore,
    UserId, Write, WriteOptions,
};

/// A store that answers counts from memory where the caller lets them be older.
///
/// - [`Consistency::Bounded`] is answered from memory within the bound and within
///   [`max_age`](CountCacheConfig::with_max_age), never beyond, and [`Count::age`] says how old the
///   answer is. [`Consistency::Eventual`] is answered within `max_age`.
/// - [`Consistency::Strong`] and a bound of nothing go to the store. So does
///   [`Consistency::Session`], unless the cached count is known to have every write of the session
///   in it: see below.
/// - An event's count is read once in each period, strongly, on a task of its own. All callers share
///   the answer, or the error. A caller that gives up does not end the read, so the next callers have
///   its answer from memory.
/// - Writes through this cache that answer [`Applied`](crate::Outcome::Applied) move the count in
///   memory, so a user's own RSVP shows in the next count.
/// - Counts do not go back for a caller that has seen more: if a read that went to the store saw a
///   later count, the cached one becomes that count, or is read again.
/// - Everything else is passed on.
///
/// ```
/// use rsvp_core::layers::{CountCacheConfig, LayerExt};
/// use rsvp_core::{Consistency, EventId, RsvpStoreExt, UserId};
/// use rsvp_memory::MemoryStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> rsvp_core::Result<()> {
/// // Two instances of a service, of which the first has a cache.
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
/// # What it preserves, and what it weakens
///
/// The contract is kept, with one reading of [`Count`] that is wider: a count from memory is a
/// number that was exact at a moment no longer before the read than its age, *and then moved by the
/// writes through this cache since*. The writes of others since are not in it. To others belongs a
/// write that no caller was told of as [`Applied`](crate::Outcome::Applied), such as one that takes
/// effect after its caller has gone. Such a write shows within the period, and at once at
/// [`Consistency::Session`]. After a write that was [repeated](crate::Written::repeated) the count
/// is read again.
///
/// **Writes and refreshes.** A count that is read while a write of the event is on its way may have
/// that write in it or not. So the writes of an event and the refresh of its count wait for each
/// other, once in a period, for as long as those that are on their way take and for a twentieth of
/// `max_age` at most, within 50 and 250 ms. An event whose count nobody has asked for has no such
/// fence. Where the two overlap all the same (a write took longer, failed with unknown effect, or its caller
/// has gone) the count stays as it was read. It is kept for a twentieth of `max_age`, and no longer
/// than until a write of the event is acknowledged, which would not show in it: then it is read
/// again. So a store whose writes take longer than that is asked for the count of a hot event more
/// often, one read after another. The same happens to an event that is dropped from memory while it
/// is asked for and written to.
///
/// **Sessions.** The tokens of this cache's own receipts tell which positions the store had reached
/// when a count was read. A count answers [`Consistency::Session`] from memory if each position of
/// the token comes before those. Other tokens go to the store: empty ones, since the store has no
/// positions, those of receipts that are newer than the count, and forged ones, of which nothing is
/// kept. A count from a replica, with an age, is not cached. If it differs from the cached count,
/// the next caller has that read again. A strong or session read beside writes of the same event
/// may do so as well, which is one more read of the store.
///
/// **Removals.** After a [`remove_event_step`](RsvpStore::remove_event_step) the event's count is
/// read again. Before a [`remove_user_step`](RsvpStore::remove_user_step) the cache lists the events
/// of the user, strongly, and their counts are read again after it. That costs one more read for
/// each step. If the user has more than 10,000 events, the list fails, or the step removes
/// more than was listed, all counts are read again. An RSVP of the user that another instance makes
/// between the list and the step, and the step removes, may be counted until the period is over.
///
/// **Failures.** With [`stale_if_error`](CountCacheConfig::with_stale_if_error) counts may be older
/// than the caller's bound while the store fails; then one caller a second asks it again, and nobody
/// else waits for that.
///
/// # Waits
///
/// A call for counts that memory cannot answer is one call of the store, however many events it
/// asks for, except for those that are being read: their answers are waited for. Events whose last
/// read failed are read in a call apart, so that they hold up no others. A caller waits until its
/// deadline at the longest, or a quarter of a second longer for the end of its own read.
///
/// A read ends by the deadline of its first caller, but has 250 ms at least: then a store of shards
/// answers for those that do not hang. If it did not end by then, the next read of these events has
/// 10 s, since the store may need longer than its callers wait. So has the read of a caller without a
/// deadline. The timeouts of the store usually end it before.
///
/// At most 1,024 callers have reads in flight; further ones wait for one of them to end.
/// [`close`](RsvpStore::close) waits for the reads under way. They run on tasks of the Tokio
/// runtime of their first caller. If it shuts down, those who wait get an error, and the next caller
/// reads again. Without a runtime a caller reads by itself, and nothing waits at a fence.
pub struct CountCache<S> {
    store: Arc<S>,
    config: CountCacheConfig,
    table: Arc<Table>,
    /// Room for refreshes.
    refreshes: Arc<Semaphore>,
    /// The tasks of refreshes.
    tasks: TaskTracker,
}

impl<S: RsvpStore + 'static> CountCache<S> {
    /// Keeps counts of `store` in memory.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) with the name of the setting that is
    /// out of range: `count_cache`, `stale_if_error` or `count_cache_capacity`.
    pub fn new(store: S, config: CountCacheConfig) -> Result<Self> {
        config.check()?;
        let capacity = usize::try_from(config.capacity).unwrap_or(usize::MAX);
        Ok(Self {
            store: Arc::new(store),
            config,
            table: Arc::new(Table::new(capacity, config.fence_timeout())),
            refreshes: Arc::new(Semaphore::new(MOST_REFRESHES)),
            tasks: TaskTracker::new(),
        })
    }

    /// The store inside. What is written to it directly does not move the counts in memory.
    pub fn get_ref(&self) -> &S {
        &self.store
    }

    /// The store inside, shared with the refreshes that are still in flight.
    pub fn into_inner(self) -> Arc<S> {
        self.store
    }

    /// Sends writes to the store, and records what they make of counts.
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
            // The usual call: one event that is in memory.
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
        // 1. The events whose counts may change.
        let mut running = RunningStep::new(&self.table, user);
        let events = running.list_events(&*self.store, options.deadline).await;
        // 2. The step is a write of these events. Without an answer they are read again.
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
        // 1. No refresh is begun from now on.
        self.tasks.close();
        // 2. Those under way are finished, then the store inside is closed, also when the caller
        //    does not wait for it.
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
