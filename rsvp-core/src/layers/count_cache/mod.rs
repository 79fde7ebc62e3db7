//! Counts from memory, as fresh as asked.

mod config;
mod entry;
mod table;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, timeout_at};

pub use self::config::CountCacheConfig;
use self::entry::{Entry, ReadRequest};
use self::table::{Table, within_fence_timeout};
use crate::backend::check_answer_count;
use crate::{
    BatchReceipt, Consistency, Count, Effect, EventId, Operation, Page, PageLimit, PageRequest,
    RemovalStep, Result, Rsvp, RsvpStore, UserId, Write,
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
/// nobody was told of as [`Applied`](crate::Outcome::Applied): a write that takes effect after its
/// call has failed or its caller has gone, and one that a [`RetryStore`](crate::layers::RetryStore) inside
/// has repeated, which answers [`Unchanged`](crate::Outcome::Unchanged) if the first try took
/// effect. Such a write shows within the period, and at once at [`Consistency::Session`].
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
/// waits are as long as that read takes, so put a [`TimeoutStore`](crate::layers::TimeoutStore) inside where
/// the backend has no timeouts of its own, and do not stop polling a call without dropping it.
#[derive(Debug)]
pub struct CountCache<S> {
    store: S,
    config: CountCacheConfig,
    table: Table,
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
        Ok(Self { store, config, table })
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
    ) -> Result<Counts<'a>> {
        let mut counts = Counts::new();
        while !missing.is_empty() {
            let mut refreshes = Vec::new();
            let taken = take_refresh_locks(&mut missing, &mut counts, request).await;
            for (event, entry, refresh_lock) in taken {
                match entry.outcome(request) {
                    Some(count) => drop(counts.insert(event, count?)),
                    None => refreshes.push((event, entry, refresh_lock)),
                }
            }
            if !refreshes.is_empty() {
                counts.extend(self.refresh(refreshes, request).await?);
            }
        }
        Ok(counts)
    }

    /// Reads counts whose refresh locks the caller holds, in one call.
    async fn refresh<'a>(
        &self,
        refreshes: Vec<Refresh<'a>>,
        request: &ReadRequest,
    ) -> Result<Counts<'a>> {
        let mut counts = Counts::new();
        let fence_timeout = self.config.fence_timeout();
        let deadline = Instant::now() + fence_timeout;
        let mut fences = Vec::new();
        for (_, entry, _) in &refreshes {
            fences.extend(timeout_at(deadline, entry.fence.clone().write_owned()).await);
        }
        let events: Vec<EventId> = refreshes.iter().map(|(event, ..)| (*event).clone()).collect();
        let (read_at, began) = (Instant::now(), self.table.tick());
        let read = self.store.rsvp_counts(&events, &Consistency::Strong);
        let read =
            within_fence_timeout(fence_timeout, &mut fences, read).await.and_then(|counts| {
                check_answer_count(Operation::RsvpCounts, events.len(), counts.len())?;
                Ok(counts)
            });
        let ended = self.table.tick();
        match read {
            Ok(read) => {
                for ((event, entry, _), count) in refreshes.iter().zip(read) {
                    entry.record_read(count, read_at, began, ended);
                    counts.insert(*event, count);
                }
            }
            Err(error) => {
                // Every entry has to know before the first is given up.
                let stale: Vec<_> = refreshes
                    .iter()
                    .map(|(event, entry, _)| (*event, entry.fail(&error, ended, request)))
                    .collect();
                for (event, count) in stale {
                    counts.insert(event, count.ok_or_else(|| error.clone())?);
                }
            }
        }
        Ok(counts)
    }
}

type Counts<'a> = BTreeMap<&'a EventId, Count>;

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
                Some(count) => drop(counts.insert(event, count)),
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
    async fn write_batch(&self, writes: &[Write]) -> Result<BatchReceipt> {
        let mut writing = self.table.begin(writes.iter().map(|write| &write.rsvp.event)).await;
        let written = writing.done(self.store.write_batch(writes)).await;
        match &written {
            Ok(receipt) => writing.applied(writes, &receipt.outcomes),
            Err(error) if error.effect() == Effect::NotApplied => writing.not_applied(),
            Err(_) => {}
        }
        written
    }

    async fn has_rsvped_batch(
        &self,
        pairs: &[Rsvp],
        consistency: &Consistency,
    ) -> Result<Vec<bool>> {
        self.store.has_rsvped_batch(pairs, consistency).await
    }

    async fn rsvp_counts(
        &self,
        events: &[EventId],
        consistency: &Consistency,
    ) -> Result<Vec<Count>> {
        let Some(request) = self.request(consistency) else {
            return self.store.rsvp_counts(events, consistency).await;
        };
        let mut missing = BTreeMap::new();
        let known: Vec<_> = events
            .iter()
            .map(|event| {
                let entry = self.table.entry(event);
                let count = entry.answer(&request);
                if count.is_none() {
                    missing.insert(event, entry);
                }
                (event, count)
            })
            .collect();
        let read =
            if missing.is_empty() { BTreeMap::new() } else { self.read(missing, &request).await? };
        let counts: Vec<_> = known
            .into_iter()
            .filter_map(|(event, count)| count.or_else(|| read.get(event).copied()))
            .collect();
        check_answer_count(Operation::RsvpCounts, events.len(), counts.len())?;
        Ok(counts)
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

    async fn remove_event_step(&self, event: &EventId, limit: PageLimit) -> Result<RemovalStep> {
        let mut writing = self.table.begin(std::iter::once(event)).await;
        let step = writing.done(self.store.remove_event_step(event, limit)).await;
        match &step {
            Ok(_) => writing.removed(),
            Err(error) if error.effect() == Effect::NotApplied => writing.not_applied(),
            Err(_) => {}
        }
        step
    }

    async fn remove_user_step(&self, user: &UserId, limit: PageLimit) -> Result<RemovalStep> {
        let writing = self.table.begin_anywhere();
        let step = self.store.remove_user_step(user, limit).await;
        if step.as_ref().is_err_and(|error| error.effect() == Effect::NotApplied) {
            writing.not_applied();
        }
        step
    }

    async fn ready(&self) -> Result<()> {
        self.store.ready().await
    }
}
