//! Counts from memory, as fresh as asked.

mod config;
mod entry;
mod table;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, timeout_at};

pub use self::config::CountCacheConfig;
use self::entry::{Entry, ReadRequest};
use self::table::{Table, within_fence_timeout};
use crate::backend::{check_answer_count, fail_all};
use crate::layers::timeout::GRACE;
use crate::{
    BatchReceipt, Consistency, Count, Deadline, Effect, Error, EventId, Label, LabelName,
    Maintenance, Operation, Page, PageLimit, PageRequest, ReadOptions, RemovalStep, Result, Rsvp,
    RsvpStore, UserId, Write, WriteOptions,
};

/// A store that answers counts from memory where the caller lets them be older.
///
/// - [`Consistency::Bounded`] is answered from memory within the bound and within
///   [`max_age`](CountCacheConfig::with_max_age), never beyond, and [`Count::age`] says how old the
///   answer is. [`Consistency::Eventual`] is answered within `max_age`.
/// - [`Consistency::Strong`], a bound of nothing, and [`Consistency::Session`] go to the store:
///   only the store that issued a token can judge what it stands for.
/// - An event's count is read once in each period, strongly, however many callers wait for it:
///   they share the answer, or the error.
/// - Writes through this cache that answer [`Applied`](crate::Outcome::Applied) move the count in
///   memory, so a user's own RSVP shows in the next count.
/// - Everything else is passed on.
///
/// # What it preserves, and what it weakens
///
/// The contract is kept, with one reading of [`Count`] that is wider: a count from memory is a
/// number that was exact at a moment no longer before the read than its age, *and then moved by what was
/// written through this cache since*. What others wrote since is not in it. To others belongs what
/// nobody was told of as [`Applied`](crate::Outcome::Applied), such as a write that takes effect
/// after its caller has gone. Such a write shows within the period, and at once at
/// [`Consistency::Session`]. After a write that was [repeated](crate::Written::repeated) the count
/// is read again.
///
/// A count that is read while a write of the event is on its way may have that write in it or
/// not. So writers and the reading of a count wait for each other, once in a period, for as long as
/// those that are on their way take and for a twentieth of `max_age` at most, within 50 and 250 ms.
/// Where they overlap all the same (a write took longer, failed with unknown effect, or its caller
/// has gone) the count stays as it was read. It is kept for a twentieth of `max_age`, and no longer
/// than until a write of the event is acknowledged, which would not show in it: then it is read
/// again. So a store whose writes take longer than that is asked for the count of a hot event more
/// often, one read after another. The same happens to an event that is dropped from memory while it
/// is asked for and written to.
///
/// After a [`remove_event_step`](RsvpStore::remove_event_step) the event's count is read again, and
/// after a [`remove_user_step`](RsvpStore::remove_user_step) all counts are, since nobody can tell
/// which have changed.
///
/// With [`stale_if_error`](CountCacheConfig::with_stale_if_error) counts may be older than the
/// caller's bound while the store fails; then one caller a second asks it again, and nobody else
/// waits for that.
///
/// A call for counts that memory cannot answer is one call of the store, however many events it
/// asks for, except for those that somebody else is reading: their answers are waited for. Such
/// waits are as long as that read takes or until the caller's deadline, so put a [`TimeoutStore`](crate::layers::TimeoutStore) inside where
/// the backend has no timeouts of its own, and do not stop polling a call without dropping it.
#[derive(Debug)]
pub struct CountCache<S> {
    store: S,
    config: CountCacheConfig,
    table: Table,
    closed: AtomicBool,
}

impl<S: RsvpStore> CountCache<S> {
    /// Keeps counts of `store` in memory.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) with the name of the setting that is
    /// out of range: `count_cache`, `stale_if_error` or `count_cache_capacity`.
    pub fn new(store: S, config: CountCacheConfig) -> Result<Self> {
        config.check()?;
        let table = Table::new(config.capacity, config.fence_timeout());
        Ok(Self { store, config, table, closed: AtomicBool::new(false) })
    }

    /// The store inside. What is written to it directly does not move the counts in memory.
    pub fn get_ref(&self) -> &S {
        &self.store
    }

    /// The store inside.
    pub fn into_inner(self) -> S {
        self.store
    }

    /// What a caller will take for an answer; nothing if only the store will do.
    fn request(&self, consistency: &Consistency) -> Option<ReadRequest> {
        let max_age = self.config.max_age;
        let bound = match consistency {
            Consistency::Strong | Consistency::Session(_) => return None,
            Consistency::Bounded(bound) if bound.is_zero() => return None,
            Consistency::Bounded(bound) => max_age.min(*bound),
            Consistency::Eventual => max_age,
        };
        Some(ReadRequest {
            asked: self.table.tick(),
            bound,
            ambiguous_bound: bound.min(self.config.short()),
            stale_bound: self.config.stale_if_error,
            not_before: self.table.changed_anywhere(),
        })
    }

    /// Reads counts that memory does not have, each by one caller at a time.
    async fn read<'a>(
        &self,
        mut missing: BTreeMap<&'a EventId, Arc<Entry>>,
        request: &ReadRequest,
        deadline: Option<Deadline>,
    ) -> Counts<'a> {
        let mut counts = Counts::new();
        while !missing.is_empty() {
            let mut refreshes = Vec::new();
            let locks = take_refresh_locks(&mut missing, &mut counts, request);
            let Some(taken) = until(deadline, Duration::ZERO, locks).await else { break };
            for (event, entry, refresh_lock) in taken {
                match entry.outcome(request) {
                    Some(count) => drop(counts.insert(event, count)),
                    None => refreshes.push((event, entry, refresh_lock)),
                }
            }
            if !refreshes.is_empty() {
                counts.extend(self.refresh(refreshes, request, deadline).await);
            }
        }
        counts
    }

    /// Reads counts whose refresh locks the caller holds, in one call.
    async fn refresh<'a>(
        &self,
        refreshes: Vec<Refresh<'a>>,
        request: &ReadRequest,
        deadline: Option<Deadline>,
    ) -> Counts<'a> {
        // Keep the writes of these events out, or as many as let themselves be kept out in time.
        let fence_timeout = self.config.fence_timeout();
        let fenced_by = Instant::now() + fence_timeout;
        let fenced_by = deadline.map_or(fenced_by, |own| fenced_by.min(own.instant()));
        let mut fences = Vec::new();
        for (_, entry, _) in &refreshes {
            fences.extend(timeout_at(fenced_by, entry.fence.clone().write_owned()).await);
        }
        // Read, between two ticks.
        let events: Vec<EventId> = refreshes.iter().map(|(event, ..)| (*event).clone()).collect();
        let (read_at, began) = (Instant::now(), self.table.tick());
        let mut options = ReadOptions::strong();
        options.deadline = deadline;
        let read = self.store.rsvp_count_batch(&events, &options);
        let read = within_fence_timeout(fence_timeout, &mut fences, read);
        let late = || Error::timed_out(Operation::RsvpCount, read_at.elapsed(), Effect::NotApplied);
        let read = until(deadline, GRACE, read).await.unwrap_or_else(|| Err(late()));
        let read = read.and_then(|counts| {
            check_answer_count(Operation::RsvpCount, events.len(), counts.len())?;
            Ok(counts)
        });
        let ended = self.table.tick();
        // Every entry has to know before the first lock is released.
        let results = read.unwrap_or_else(|error| fail_all(events.len(), &error));
        let record = |((event, entry, _), result): (&Refresh<'a>, Result<Count>)| {
            let result = match result {
                Ok(count) => {
                    entry.record_read(count, read_at, began, ended);
                    Ok(count)
                }
                // That one caller was in a hurry says nothing of the store.
                Err(error) if is_of_deadline(&error, deadline) => {
                    entry.last_resort(request).ok_or(error)
                }
                Err(error) => entry.fail(&error, ended, request).ok_or(error),
            };
            (*event, result)
        };
        refreshes.iter().zip(results).map(record).collect()
    }
}

/// Waits for something until the deadline and a grace are over. Without a deadline it waits for as
/// long as it takes.
async fn until<T>(
    deadline: Option<Deadline>,
    grace: Duration,
    call: impl Future<Output = T>,
) -> Option<T> {
    match deadline {
        None => Some(call.await),
        Some(deadline) => timeout_at(deadline.instant() + grace, call).await.ok(),
    }
}

/// Whether a read failed because its caller's deadline had passed.
fn is_of_deadline(error: &Error, deadline: Option<Deadline>) -> bool {
    matches!(error, Error::TimedOut { .. }) && deadline.is_some_and(Deadline::has_passed)
}

type Counts<'a> = BTreeMap<&'a EventId, Result<Count>>;

/// An event whose count the holder of the lock alone reads.
type Refresh<'a> = (&'a EventId, Arc<Entry>, OwnedMutexGuard<()>);

/// Takes the events whose refresh locks are free out of `missing`. If there is none, waits for one. A
/// count that somebody else is reading from a store that is down is answered with an old one, if
/// the caller accepts that.
///
/// Nobody waits for a refresh lock while holding another. Otherwise a read that hangs would hold up those of
/// other events, and batches that overlap would be read, and fail, one after another.
async fn take_refresh_locks<'a>(
    missing: &mut BTreeMap<&'a EventId, Arc<Entry>>,
    counts: &mut Counts<'a>,
    request: &ReadRequest,
) -> Vec<Refresh<'a>> {
    let mut refreshes = Vec::new();
    for (event, entry) in std::mem::take(missing) {
        match entry.refresh_lock.clone().try_lock_owned() {
            Ok(refresh_lock) => refreshes.push((event, entry, refresh_lock)),
            Err(_) => match entry.stale_while_error(request) {
                Some(count) => drop(counts.insert(event, Ok(count))),
                None => drop(missing.insert(event, entry)),
            },
        }
    }
    if refreshes.is_empty()
        && let Some((event, entry)) = missing.pop_first()
    {
        let refresh_lock = entry.refresh_lock.clone().lock_owned().await;
        refreshes.push((event, entry, refresh_lock));
    }
    refreshes
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: RsvpStore> RsvpStore for CountCache<S> {
    async fn write_batch(&self, writes: &[Write], options: &WriteOptions) -> Result<BatchReceipt> {
        let mut writing =
            self.table.begin(writes.iter().map(|write| &write.rsvp.event), options.deadline).await;
        let written = writing.done(self.store.write_batch(writes, options)).await;
        match &written {
            Ok(receipt) => writing.answered(writes, &receipt.results),
            Err(error) => writing.failed(error),
        }
        written
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
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::closed(Operation::RsvpCount));
        }
        let Some(request) = self.request(&options.consistency) else {
            return self.store.rsvp_count_batch(events, options).await;
        };
        let mut missing = BTreeMap::new();
        let known: Vec<_> = events
            .iter()
            .map(|event| {
                let entry = self.table.entry(event);
                let count = entry.answer(&request);
                if count.is_none() {
                    missing.insert(event, entry.clone());
                }
                (event, entry, count)
            })
            .collect();
        // At the deadline counts from memory are answered all the same.
        let began = Instant::now();
        let read = self.read(missing, &request, options.deadline).await;
        let late = || Error::timed_out(Operation::RsvpCount, began.elapsed(), Effect::NotApplied);
        let result = |(event, entry, count): (&EventId, Arc<Entry>, Option<Count>)| {
            let read = || read.get(event).cloned();
            let late = || entry.last_resort(&request).ok_or_else(late);
            count.map(Ok).or_else(read).unwrap_or_else(late)
        };
        Ok(known.into_iter().map(result).collect())
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
        let mut writing = self.table.begin(std::iter::once(event), options.deadline).await;
        let step = writing.done(self.store.remove_event_step(event, limit, options)).await;
        match &step {
            Ok(_) => writing.removed(),
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
        let writing = self.table.begin_anywhere();
        let step = self.store.remove_user_step(user, limit, options).await;
        if step.as_ref().is_err_and(|error| error.effect() == Effect::NotApplied) {
            writing.not_applied();
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

    async fn close(&self) -> Result<()> {
        self.closed.store(true, Ordering::Release);
        self.store.close().await
    }

    fn settling_time(&self) -> Duration {
        self.store.settling_time()
    }

    fn maintenance(&self) -> Option<&dyn Maintenance> {
        self.store.maintenance()
    }
}
