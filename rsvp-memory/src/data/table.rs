//! The RSVPs of one process, in both directions, without async.

use std::fmt;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use rsvp_core::{
    Action, Cursor, EventId, Outcome, Page, PageLimit, RemovalStep, Result, Rsvp, SessionToken,
    UserId, Write,
};

use super::cursor::{ListCursor, ScanCursor};
use super::set::PagedSet;

/// The RSVPs of one process in memory, without async, for hosts that need the highest speed.
///
/// No call waits, except for a short lock.
/// Membership, both writes and counts take constant time on average.
/// A cancelled pair leaves no entry behind, and neither does an event or a user without RSVPs.
/// The hash tables themselves keep their greatest size.
///
/// ```
/// use rsvp_core::{EventId, Outcome, UserId};
/// use rsvp_memory::RsvpTable;
///
/// let table = RsvpTable::new();
/// let (user, event) = (UserId::from(1), EventId::from(2));
/// assert_eq!(table.rsvp(&user, &event), Outcome::Applied);
/// assert_eq!(table.rsvp(&user, &event), Outcome::Unchanged);
/// assert_eq!(table.rsvp_count(&event), 1);
/// ```
///
/// # Locks
///
/// Both directions of a pair change under the lock of the event's entry.
/// So concurrent writers of a pair run one after another, and the directions agree.
/// Locks are taken in the order event, then user, then the list of events.
/// No call holds two entries of the same map.
#[derive(Default)]
pub struct RsvpTable {
    attendees: DashMap<EventId, PagedSet<UserId>>,
    events_of: DashMap<UserId, PagedSet<EventId>>,
    /// The keys of `attendees`, in a stable order for scans.
    events: Mutex<PagedSet<EventId>>,
}

impl RsvpTable {
    /// Makes an empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Records that `user` is coming to `event`.
    pub fn rsvp(&self, user: &UserId, event: &EventId) -> Outcome {
        let mut attendees = match self.attendees.entry(event.clone()) {
            Entry::Occupied(occupied) => occupied.into_ref(),
            Entry::Vacant(vacant) => {
                self.all_events().insert(event.clone());
                vacant.insert(PagedSet::default())
            }
        };
        if attendees.contains(user) {
            return Outcome::Unchanged;
        }
        // Store the ids of the keys on both sides.
        // A long id is then in memory once for each key, however many copies the callers make.
        let mut events = self.events_of.entry(user.clone()).or_default();
        events.insert(attendees.key().clone());
        let user = events.key().clone();
        drop(events);
        attendees.insert(user);
        Outcome::Applied
    }

    /// Records that `user` is not coming to `event`.
    pub fn cancel(&self, user: &UserId, event: &EventId) -> Outcome {
        // 1. Lock the event. An unknown event has nothing to cancel.
        let Entry::Occupied(mut attendees) = self.attendees.entry(event.clone()) else {
            return Outcome::Unchanged;
        };
        let removed = attendees.get_mut().remove(user);
        // 2. Remove the other direction, and the event after its last attendee.
        if removed {
            remove_from(&self.events_of, user, event);
            if attendees.get().is_empty() {
                self.all_events().remove(event);
                attendees.remove();
            }
        }
        Outcome::from_changed(removed)
    }

    /// Applies one write of a batch.
    pub fn write(&self, Write { action, rsvp: Rsvp { user, event }, .. }: &Write) -> Outcome {
        match action {
            Action::Rsvp => self.rsvp(user, event),
            Action::Cancel => self.cancel(user, event),
        }
    }

    /// Returns whether `user` is coming to `event`.
    pub fn has_rsvped(&self, user: &UserId, event: &EventId) -> bool {
        self.attendees.get(event).is_some_and(|attendees| attendees.contains(user))
    }

    /// Returns the number of RSVPs of `event`.
    pub fn rsvp_count(&self, event: &EventId) -> u64 {
        self.attendees.get(event).map_or(0, |attendees| attendees.len() as u64)
    }

    /// Returns a page of the attendees of `event`, the newest first.
    /// No user is listed twice, even if the list changes between two pages.
    ///
    /// ```
    /// use rsvp_core::{EventId, PageLimit, UserId};
    /// use rsvp_memory::RsvpTable;
    ///
    /// let (table, event) = (RsvpTable::new(), EventId::from(2));
    /// (1..=3).for_each(|user| drop(table.rsvp(&UserId::from(user), &event)));
    /// let page = table.attendees(&event, None, PageLimit::new(2)?)?;
    /// assert_eq!(page.items, [UserId::from(3), UserId::from(2)]);
    /// let rest = table.attendees(&event, page.next.as_ref(), PageLimit::new(2)?)?;
    /// assert_eq!(rest.items, [UserId::from(1)]);
    /// # Ok::<(), rsvp_core::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`](rsvp_core::Error::InvalidInput) for a cursor
    /// of another listing or another event.
    pub fn attendees(
        &self,
        event: &EventId,
        cursor: Option<&Cursor>,
        limit: PageLimit,
    ) -> Result<Page<UserId>> {
        page(&self.attendees, event, ListCursor::attendees(event), cursor, limit)
    }

    /// Returns a page of the events of `user`, as [`attendees`](Self::attendees).
    ///
    /// # Errors
    ///
    /// As [`attendees`](Self::attendees).
    pub fn events_of(
        &self,
        user: &UserId,
        cursor: Option<&Cursor>,
        limit: PageLimit,
    ) -> Result<Page<EventId>> {
        page(&self.events_of, user, ListCursor::events_of(user), cursor, limit)
    }

    /// Returns a page of all RSVPs, as [`attendees`](Self::attendees).
    ///
    /// # Errors
    ///
    /// As [`attendees`](Self::attendees).
    pub fn scan(&self, cursor: Option<&Cursor>, limit: PageLimit) -> Result<Page<Rsvp>> {
        // Read events, the newest first, until the page is full.
        let mut at = ScanCursor::parse(cursor)?;
        let mut items = Vec::new();
        while items.len() < limit.get() {
            let Some(event) = self.event_at_or_below(&mut at) else { return Ok(Page::last(items)) };
            let room = limit.get() - items.len();
            // The event may have been removed since it was found. Then it has no attendees.
            let (users, next) = match self.attendees.get(&event) {
                Some(attendees) => attendees.page(at.attendees_below, room),
                None => (Vec::new(), None),
            };
            items.extend(users.into_iter().map(|user| Rsvp::new(user, event.clone())));
            at.advance(event, next);
        }
        // An empty last page is avoided by a look at the next event.
        let is_over = self.all_events().newest_below(at.events_below).is_none();
        Ok(Page::new(items, (!is_over).then(|| at.into_cursor())))
    }

    /// Removes every RSVP of `event`, and returns their number.
    pub fn remove_event(&self, event: &EventId) -> u64 {
        all_steps(|| self.remove_event_step(event, PageLimit::MAX))
    }

    /// Removes every RSVP of `user`, and returns their number.
    pub fn remove_user(&self, user: &UserId) -> u64 {
        all_steps(|| self.remove_user_step(user, PageLimit::MAX))
    }

    /// Removes up to `limit` RSVPs of `event`.
    ///
    /// ```
    /// use rsvp_core::{EventId, PageLimit, UserId};
    /// use rsvp_memory::RsvpTable;
    ///
    /// let (table, event) = (RsvpTable::new(), EventId::from(2));
    /// table.rsvp(&UserId::from(1), &event);
    /// while table.remove_event_step(&event, PageLimit::MAX).more {}
    /// assert_eq!(table.rsvp_count(&event), 0);
    /// ```
    pub fn remove_event_step(&self, event: &EventId, limit: PageLimit) -> RemovalStep {
        let users = first(&self.attendees, event, limit);
        self.cancel_all(users.into_iter().map(|user| Rsvp::new(user, event.clone())), || {
            self.attendees.contains_key(event)
        })
    }

    /// Removes up to `limit` RSVPs of `user`.
    pub fn remove_user_step(&self, user: &UserId, limit: PageLimit) -> RemovalStep {
        let events = first(&self.events_of, user, limit);
        self.cancel_all(events.into_iter().map(|event| Rsvp::new(user.clone(), event)), || {
            self.events_of.contains_key(user)
        })
    }

    fn cancel_all(
        &self,
        pairs: impl Iterator<Item = Rsvp>,
        more: impl FnOnce() -> bool,
    ) -> RemovalStep {
        // A pair that another call has cancelled meanwhile is not counted.
        let cancelled = pairs.filter(|pair| self.cancel(&pair.user, &pair.event).is_applied());
        let removed = cancelled.count() as u64;
        RemovalStep::new(removed, more(), SessionToken::new())
    }

    /// Returns the event of a scan.
    /// If the order has changed since the last page, the scan moves to the next event.
    fn event_at_or_below(&self, at: &mut ScanCursor) -> Option<EventId> {
        let events = self.all_events();
        let (number, event) = events.newest_below(at.events_below)?;
        at.arrive(number, event);
        Some(event.clone())
    }

    fn all_events(&self) -> MutexGuard<'_, PagedSet<EventId>> {
        // A panic cannot happen in the middle of a change,
        // so a poisoned lock still holds whole entries.
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RsvpTable {
    /// Shows the number of events and no ids.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RsvpTable")
            .field("events", &self.all_events().len())
            .finish_non_exhaustive()
    }
}

fn all_steps(mut step: impl FnMut() -> RemovalStep) -> u64 {
    let mut removed = 0;
    loop {
        let RemovalStep { removed: more_removed, more, .. } = step();
        removed += more_removed;
        if !more {
            return removed;
        }
    }
}

fn remove_from<K: Hash + Eq + Clone, V: Hash + Eq + Clone>(
    map: &DashMap<K, PagedSet<V>>,
    key: &K,
    value: &V,
) {
    if let Entry::Occupied(mut entry) = map.entry(key.clone()) {
        entry.get_mut().remove(value);
        if entry.get().is_empty() {
            entry.remove();
        }
    }
}

fn first<K: Hash + Eq, V: Hash + Eq + Clone>(
    map: &DashMap<K, PagedSet<V>>,
    key: &K,
    limit: PageLimit,
) -> Vec<V> {
    map.get(key).map(|set| set.page(u64::MAX, limit.get()).0).unwrap_or_default()
}

fn page<K: Hash + Eq, V: Hash + Eq + Clone>(
    map: &DashMap<K, PagedSet<V>>,
    key: &K,
    kind: ListCursor<'_>,
    cursor: Option<&Cursor>,
    limit: PageLimit,
) -> Result<Page<V>> {
    let below = kind.parse(cursor)?;
    let Some(set) = map.get(key) else { return Ok(Page::last(Vec::new())) };
    let (items, next) = set.page(below, limit.get());
    Ok(Page::new(items, next.map(|below| kind.cursor(below))))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn assert_nothing_is_left(table: &RsvpTable) {
        assert!(table.attendees.is_empty(), "{:?}", table.attendees);
        assert!(table.events_of.is_empty(), "{:?}", table.events_of);
        assert!(table.all_events().is_empty(), "{:?}", table.all_events());
    }

    fn filled() -> RsvpTable {
        let table = RsvpTable::new();
        for n in 0..100_u32 {
            table.rsvp(&UserId::from(n % 10), &EventId::from(n / 10));
        }
        table
    }

    #[test]
    fn cancelled_rsvps_leave_nothing_behind() {
        let table = filled();
        for n in 0..100_u32 {
            let (user, event) = (UserId::from(n % 10), EventId::from(n / 10));
            assert_eq!(table.cancel(&user, &event), Outcome::Applied);
            assert_eq!(table.cancel(&user, &EventId::from(1000)), Outcome::Unchanged);
        }
        assert_nothing_is_left(&table);
    }

    #[test]
    fn removed_events_and_users_leave_nothing_behind() {
        let table = filled();
        (0..10_u32).for_each(|n| assert_eq!(table.remove_event(&EventId::from(n)), 10));
        assert_nothing_is_left(&table);
        let table = filled();
        (0..10_u32).for_each(|n| assert_eq!(table.remove_user(&UserId::from(n)), 10));
        assert_nothing_is_left(&table);
    }

    proptest! {
        #[test]
        fn a_scan_lists_what_stays(
            sizes in proptest::collection::vec(1..40_u32, 1..8),
            limit in 1..50_usize,
            cancels in proptest::collection::vec((0..8_u32, 0..40_u32), 0..60),
            emptied in 0..8_u32,
        ) {
            let table = RsvpTable::new();
            let mut stays = BTreeSet::new();
            for (event, size) in (0..).zip(&sizes) {
                for user in 0..*size {
                    table.rsvp(&UserId::from(user), &EventId::from(event));
                    stays.insert((event, user));
                }
            }
            let mut changes = cancels.into_iter().chain((0..40).map(|user| (emptied, user)));
            let mut listed = BTreeSet::new();
            let mut cursor = None;
            loop {
                let page = table.scan(cursor.as_ref(), PageLimit::new(limit).unwrap()).unwrap();
                prop_assert!(page.items.len() <= limit);
                listed.extend(page.items);
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
                for (event, user) in changes.by_ref().take(7) {
                    table.cancel(&UserId::from(user), &EventId::from(event));
                    table.rsvp(&UserId::from(user), &EventId::from(event + 100));
                    stays.remove(&(event, user));
                }
            }
            for (event, user) in stays {
                let pair = Rsvp::new(UserId::from(user), EventId::from(event));
                prop_assert!(listed.contains(&pair), "{:?} was there all the time", pair);
            }
        }
    }

    #[test]
    fn printing_a_table_shows_no_ids() {
        let table = RsvpTable::new();
        table.rsvp(&UserId::from(4711), &EventId::from(4712));
        assert!(!format!("{table:?}").contains("471"));
    }

    #[test]
    fn reads_leave_nothing_behind() {
        let table = RsvpTable::new();
        let (user, event) = (UserId::from(1), EventId::from(2));
        assert!(!table.has_rsvped(&user, &event));
        assert_eq!(table.rsvp_count(&event), 0);
        assert_eq!(table.cancel(&user, &event), Outcome::Unchanged);
        table.attendees(&event, None, PageLimit::MAX).unwrap();
        table.events_of(&user, None, PageLimit::MAX).unwrap();
        assert_nothing_is_left(&table);
    }
}
