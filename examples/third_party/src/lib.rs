//! A store of a third party: a sorted set behind a lock.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rsvp::backend::{CursorReader, CursorWriter};
use rsvp::{
    Action, BatchReceipt, Consistency, Count, Cursor, EventId, MAX_ID_BYTES, Outcome, Page,
    PageLimit, PageRequest, RemovalStep, Result, Rsvp, RsvpStore, SessionToken, UserId, Write,
    async_trait,
};

/// Keeps RSVPs in one set, sorted by user and event.
#[derive(Default)]
pub struct SortedStore {
    rsvps: Mutex<BTreeSet<Rsvp>>,
}

impl SortedStore {
    fn rsvps(&self) -> MutexGuard<'_, BTreeSet<Rsvp>> {
        self.rsvps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A page of the pairs that `item` takes. The cursor holds the last pair of the page before.
    fn page<T>(
        &self,
        tag: u8,
        request: &PageRequest,
        item: impl Fn(&Rsvp) -> Option<T>,
    ) -> Result<Page<T>> {
        let start = CursorReader::of(tag, request)?.map(parse_pair).transpose()?;
        let rsvps = self.rsvps();
        let after = rsvps.range((start.map_or(Unbounded, Excluded), Unbounded));
        let mut found = after.filter_map(|pair| Some((pair, item(pair)?)));
        let (pairs, items): (Vec<_>, _) = found.by_ref().take(request.limit.get()).unzip();
        let cursor = |pair: &Rsvp| {
            CursorWriter::new(tag).text(pair.user.as_str()).text(pair.event.as_str()).finish()
        };
        let next = found.next().and(pairs.last()).map(|pair| cursor(pair));
        Ok(Page { items, next })
    }

    fn remove(&self, limit: PageLimit, goes: impl Fn(&Rsvp) -> bool) -> RemovalStep {
        let mut rsvps = self.rsvps();
        let going: Vec<_> = rsvps.iter().filter(|r| goes(r)).take(limit.get()).cloned().collect();
        for pair in &going {
            rsvps.remove(pair);
        }
        let more = rsvps.iter().any(goes);
        RemovalStep { removed: going.len() as u64, more, token: SessionToken::new() }
    }
}

/// A cursor comes back from outside, so its ids may be illegal.
fn parse_pair(mut fields: CursorReader<'_>) -> Result<Rsvp> {
    let (user, event) = (fields.text(MAX_ID_BYTES)?, fields.text(MAX_ID_BYTES)?);
    fields.end()?;
    match (UserId::new(user), EventId::new(event)) {
        (Ok(user), Ok(event)) => Ok(Rsvp::new(user, event)),
        _ => Err(Cursor::refused()),
    }
}

impl fmt::Debug for SortedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SortedStore").finish_non_exhaustive()
    }
}

#[async_trait]
impl RsvpStore for SortedStore {
    async fn write_batch(&self, writes: &[Write]) -> Result<BatchReceipt> {
        let mut rsvps = self.rsvps();
        let outcomes = writes.iter().map(|Write { action, rsvp }| {
            Outcome::from_changed(match action {
                Action::Rsvp => rsvps.insert(rsvp.clone()),
                Action::Cancel => rsvps.remove(rsvp),
            })
        });
        Ok(BatchReceipt { outcomes: outcomes.collect(), token: SessionToken::new() })
    }

    async fn has_rsvped_batch(&self, pairs: &[Rsvp], _: &Consistency) -> Result<Vec<bool>> {
        let rsvps = self.rsvps();
        Ok(pairs.iter().map(|pair| rsvps.contains(pair)).collect())
    }

    async fn rsvp_counts(&self, events: &[EventId], _: &Consistency) -> Result<Vec<Count>> {
        let mut counts: BTreeMap<&EventId, u64> = events.iter().map(|event| (event, 0)).collect();
        for pair in self.rsvps().iter() {
            if let Some(count) = counts.get_mut(&pair.event) {
                *count += 1;
            }
        }
        Ok(events.iter().map(|event| Count::fresh(counts[event])).collect())
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        self.page(b'u', request, |pair| (pair.event == *event).then(|| pair.user.clone()))
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        self.page(b'e', request, |pair| (pair.user == *user).then(|| pair.event.clone()))
    }

    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
        self.page(b's', request, |pair| Some(pair.clone()))
    }

    async fn remove_event_step(&self, event: &EventId, limit: PageLimit) -> Result<RemovalStep> {
        Ok(self.remove(limit, |pair| pair.event == *event))
    }

    async fn remove_user_step(&self, user: &UserId, limit: PageLimit) -> Result<RemovalStep> {
        Ok(self.remove(limit, |pair| pair.user == *user))
    }

    async fn ready(&self) -> Result<()> {
        Ok(())
    }
}
