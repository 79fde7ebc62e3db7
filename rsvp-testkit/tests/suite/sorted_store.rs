//! A backend as somebody else would write it: a sorted set behind a mutex.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard};

use rsvp_core::{
    Action, BatchReceipt, Consistency, Count, Cursor, EventId, Outcome, Page, PageLimit,
    PageRequest, RemovalStep, Result, Rsvp, RsvpStore, SessionToken, UserId, Write, async_trait,
};

#[derive(Default)]
pub(crate) struct SortedStore {
    rsvps: Mutex<BTreeSet<Rsvp>>,
}

impl SortedStore {
    fn rsvps(&self) -> MutexGuard<'_, BTreeSet<Rsvp>> {
        self.rsvps.lock().unwrap()
    }

    /// The keys, in order, that come after the cursor; the cursor holds the listing's tag and the
    /// last key of the page before.
    fn page<T: Clone>(
        &self,
        tag: u8,
        request: &PageRequest,
        key: impl Fn(&Rsvp) -> Option<(String, T)>,
    ) -> Result<Page<T>> {
        let after = match request.cursor.as_ref().map(|cursor| cursor.as_bytes().split_first()) {
            None => None,
            Some(Some((t, last))) if *t == tag => {
                Some(String::from_utf8(last.to_vec()).map_err(|_| Cursor::refused())?)
            }
            Some(_) => return Err(Cursor::refused()),
        };
        let mut entries: Vec<_> = self.rsvps().iter().filter_map(key).collect();
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        entries.retain(|(key, _)| after.as_ref().is_none_or(|after| key > after));
        let more = entries.len() > request.limit.get();
        entries.truncate(request.limit.get());
        let last = entries.last().map(|(key, _)| [&[tag], key.as_bytes()].concat());
        let next = if more { last.map(Cursor::new) } else { None };
        Ok(Page { items: entries.into_iter().map(|(_, item)| item).collect(), next })
    }

    fn remove(&self, limit: PageLimit, goes: impl Fn(&Rsvp) -> bool) -> RemovalStep {
        let mut rsvps = self.rsvps();
        let going: Vec<_> = rsvps.iter().filter(|r| goes(r)).take(limit.get()).cloned().collect();
        rsvps.retain(|rsvp| !going.contains(rsvp));
        let more = rsvps.iter().any(goes);
        RemovalStep { removed: going.len() as u64, more, token: SessionToken::new() }
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
        self.page(b'u', request, |Rsvp { user, event: of }| {
            (of == event).then(|| (user.to_string(), user.clone()))
        })
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        self.page(b'e', request, |Rsvp { user: of, event }| {
            (of == user).then(|| (event.to_string(), event.clone()))
        })
    }

    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
        // A control character is in no id, so it parts the two.
        self.page(b's', request, |rsvp| {
            Some((format!("{}\0{}", rsvp.user, rsvp.event), rsvp.clone()))
        })
    }

    async fn remove_event_step(&self, event: &EventId, limit: PageLimit) -> Result<RemovalStep> {
        Ok(self.remove(limit, |rsvp| rsvp.event == *event))
    }

    async fn remove_user_step(&self, user: &UserId, limit: PageLimit) -> Result<RemovalStep> {
        Ok(self.remove(limit, |rsvp| rsvp.user == *user))
    }

    async fn ready(&self) -> Result<()> {
        Ok(())
    }
}
