//! Counts from memory, as fresh as asked.

mod book;
mod config;
mod entry;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, timeout_at};

use self::book::{Book, while_patient};
pub use self::config::CountCacheConfig;
use self::entry::{Entry, Question};
use crate::{
    BatchReceipt, Consistency, Count, Effect, EventId, Operation, Page, PageLimit, PageRequest,
    RemovalStep, Result, Rsvp, RsvpStore, UserId, Write, parts,
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
/// call has failed or its caller has gone, and one that a [`RetryStore`](crate::RetryStore) inside
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
/// waits are as long as that read takes, so put a [`TimeoutStore`](crate::TimeoutStore) inside where
/// the backend has no timeouts of its own, and do not stop polling a call without dropping it.
#[derive(Debug)]
pub struct CountCache<S> {
    store: S,
    config: CountCacheConfig,
    book: Book,
}

impl<S: RsvpStore> CountCache<S> {
    /// Keeps counts of `store` in memory.
    pub fn new(store: S, config: CountCacheConfig) -> Self {
        Self { store, config, book: Book::new(config.capacity, config.patience()) }
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
    fn question(&self, consistency: &Consistency) -> Option<Question> {
        let max_age = self.config.max_age;
        let bound = match consistency {
            Consistency::Strong | Consistency::Session(_) => return None,
            Consistency::Bounded(bound) if bound.is_zero() => return None,
            Consistency::Bounded(bound) => max_age.min(*bound),
            Consistency::Eventual => max_age,
        };
        Some(Question {
            asked: self.book.tick(),
            bound,
            unsettled_bound: bound.min(self.config.short()),
            stale_bound: self.config.stale_if_error,
            not_before: self.book.changed_anywhere(),
        })
    }

    /// Reads counts that memory does not have, each by one caller at a time.
    async fn read<'a>(
        &self,
        mut missing: BTreeMap<&'a EventId, Arc<Entry>>,
        question: &Question,
    ) -> Result<Counts<'a>> {
        let mut counts = Counts::new();
        while !missing.is_empty() {
            let mut turns = Vec::new();
            let taken = take_turns(&mut missing, &mut counts, question).await;
            for (event, entry, turn) in taken {
                match entry.outcome(question) {
                    Some(count) => drop(counts.insert(event, count?)),
                    None => turns.push((event, entry, turn)),
                }
            }
            if !turns.is_empty() {
                counts.extend(self.read_in_turn(turns, question).await?);
            }
        }
        Ok(counts)
    }

    /// Reads counts whose turns the caller has, in one call.
    async fn read_in_turn<'a>(
        &self,
        turns: Vec<Turn<'a>>,
        question: &Question,
    ) -> Result<Counts<'a>> {
        let mut counts = Counts::new();
        let patience = self.config.patience();
        let deadline = Instant::now() + patience;
        let mut gates = Vec::new();
        for (_, entry, _) in &turns {
            gates.extend(timeout_at(deadline, entry.gate.clone().write_owned()).await);
        }
        let events: Vec<EventId> = turns.iter().map(|(event, ..)| (*event).clone()).collect();
        let (read_at, began) = (Instant::now(), self.book.tick());
        let read = self.store.rsvp_counts(&events, &Consistency::Strong);
        let read = while_patient(patience, &mut gates, read).await.and_then(|counts| {
            parts::expect_answers(Operation::RsvpCounts, events.len(), counts.len())?;
            Ok(counts)
        });
        let ended = self.book.tick();
        match read {
            Ok(read) => {
                for ((event, entry, _), count) in turns.iter().zip(read) {
                    entry.learn(count, read_at, began, ended);
                    counts.insert(*event, count);
                }
            }
            Err(error) => {
                // Every entry has to know before the first is given up.
                let stale: Vec<_> = turns
                    .iter()
                    .map(|(event, entry, _)| (*event, entry.fail(&error, ended, question)))
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

/// An event that the holder alone reads the count of.
type Turn<'a> = (&'a EventId, Arc<Entry>, OwnedMutexGuard<()>);

/// Takes the turns that are free out of `missing`; if there is none, waits for one. What somebody
/// else is reading from a store that is down is answered with an old count, if that will do.
///
/// Nobody waits for a turn while holding another. Otherwise a read that hangs would hold up those of
/// other events, and batches that overlap would be read, and fail, one after another.
async fn take_turns<'a>(
    missing: &mut BTreeMap<&'a EventId, Arc<Entry>>,
    counts: &mut Counts<'a>,
    question: &Question,
) -> Vec<Turn<'a>> {
    let mut turns = Vec::new();
    for (event, entry) in std::mem::take(missing) {
        match entry.turn.clone().try_lock_owned() {
            Ok(turn) => turns.push((event, entry, turn)),
            Err(_) => match entry.meanwhile(question) {
                Some(count) => drop(counts.insert(event, count)),
                None => drop(missing.insert(event, entry)),
            },
        }
    }
    if turns.is_empty()
        && let Some((event, entry)) = missing.pop_first()
    {
        let turn = entry.turn.clone().lock_owned().await;
        turns.push((event, entry, turn));
    }
    turns
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: RsvpStore> RsvpStore for CountCache<S> {
    async fn write_batch(&self, writes: &[Write]) -> Result<BatchReceipt> {
        let mut writing = self.book.begin(writes.iter().map(|write| &write.rsvp.event)).await;
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
        let Some(question) = self.question(consistency) else {
            return self.store.rsvp_counts(events, consistency).await;
        };
        let mut missing = BTreeMap::new();
        let known: Vec<_> = events
            .iter()
            .map(|event| {
                let entry = self.book.entry(event);
                let count = entry.answer(&question);
                if count.is_none() {
                    missing.insert(event, entry);
                }
                (event, count)
            })
            .collect();
        let read = if missing.is_empty() {
            BTreeMap::new()
        } else {
            self.read(missing, &question).await?
        };
        let counts: Vec<_> = known
            .into_iter()
            .filter_map(|(event, count)| count.or_else(|| read.get(event).copied()))
            .collect();
        parts::expect_answers(Operation::RsvpCounts, events.len(), counts.len())?;
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
        let mut writing = self.book.begin(std::iter::once(event)).await;
        let step = writing.done(self.store.remove_event_step(event, limit)).await;
        match &step {
            Ok(_) => writing.removed(),
            Err(error) if error.effect() == Effect::NotApplied => writing.not_applied(),
            Err(_) => {}
        }
        step
    }

    async fn remove_user_step(&self, user: &UserId, limit: PageLimit) -> Result<RemovalStep> {
        let writing = self.book.begin_anywhere();
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
