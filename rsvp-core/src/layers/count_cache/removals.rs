//! Removals of users in flight, and the writes that overlap them.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

use super::cached_count::Written;
use super::clock::{Span, Tick};
use super::table::Table;
use super::validity::Change;
use crate::{
    Deadline, Effect, Error, EventId, PageLimit, PageRequest, ReadOptions, Rsvp, RsvpStore, UserId,
};

const BUCKETS: usize = 64;

/// The greatest number of a user's events listed before a step.
/// For a user with more events, all counts are read again.
const MOST_LISTED: usize = 10_000;

/// The greatest number of pages of such a list.
const MOST_PAGES: usize = 100;

/// The steps of the users with one hash.
#[derive(Debug, Default)]
struct Bucket {
    running: Vec<Running>,
    /// The last end of one of the steps.
    ended: Tick,
}

/// A step in flight, and the events of its user with writes meanwhile.
#[derive(Debug)]
struct Running {
    user: UserId,
    /// The tick of its beginning. It identifies the step among the steps of its user.
    began: Tick,
    written: Vec<EventId>,
}

/// The steps of user removals through a table.
///
/// A step lists the events of its user first.
/// A write of the same user may take effect between the list and the step.
/// The step removes its RSVP, but its event is not in the list.
/// So a write that ends during a step adds its event to the step, and the count is read again
/// after the step. A write that ends after the step has the count read again itself.
#[derive(Debug)]
pub(super) struct Removals {
    /// The number of steps in flight, and the last end of one.
    /// Usually a write needs no more than these.
    running: AtomicU32,
    ended: AtomicU64,
    buckets: [Mutex<Bucket>; BUCKETS],
}

impl Default for Removals {
    fn default() -> Self {
        let (running, ended) = (AtomicU32::new(0), AtomicU64::new(0));
        Self { running, ended, buckets: std::array::from_fn(|_| Mutex::default()) }
    }
}

impl Removals {
    /// Returns whether any step ran at some moment after this tick.
    pub(super) fn any_since(&self, began: Tick) -> bool {
        // In this order, because a step stores its last tick before it leaves.
        self.running.load(Ordering::SeqCst) > 0 || self.ended.load(Ordering::SeqCst) > began
    }

    /// Tells the steps of its user about a write that began at this tick and ends now.
    ///
    /// Returns whether a step of the user ended during the write.
    /// It may also return true for a step of another user with the same hash.
    pub(super) fn end_write(&self, rsvp: &Rsvp, began: Tick) -> bool {
        let Some(mut bucket) = self.bucket(&rsvp.user) else { return false };
        for step in bucket.running.iter_mut().filter(|step| step.user == rsvp.user) {
            if step.written.len() < MOST_LISTED {
                step.written.push(rsvp.event.clone());
            }
        }
        bucket.ended > began
    }

    fn bucket(&self, user: &UserId) -> Option<MutexGuard<'_, Bucket>> {
        let hash = xxh3_64(user.as_str().as_bytes());
        // The remainder is less than the number of buckets, and so fits `usize`.
        let bucket = self.buckets.get((hash % BUCKETS as u64) as usize)?;
        Some(bucket.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A step in flight. Dropping it ends it.
#[derive(Debug)]
pub(super) struct RunningStep<'a> {
    table: &'a Table,
    user: &'a UserId,
    began: Tick,
    /// Whether it may have changed the count of any event.
    changes_any: bool,
    /// Whether it may have changed a count.
    changes: bool,
    /// The latest moment at which a failed step may still take effect.
    pending: Option<Instant>,
}

impl<'a> RunningStep<'a> {
    pub(super) fn new(table: &'a Table, user: &'a UserId) -> Self {
        let (removals, began) = (&table.removals, table.clock.tick());
        removals.running.fetch_add(1, Ordering::SeqCst);
        if let Some(mut bucket) = removals.bucket(user) {
            bucket.running.push(Running { user: user.clone(), began, written: Vec::new() });
        }
        Self { table, user, began, changes_any: false, changes: true, pending: None }
    }

    /// Lists the events of the user. Without a list, nobody knows which counts the step changes.
    pub(super) async fn list_events<S: RsvpStore>(
        &mut self,
        store: &S,
        deadline: Option<Deadline>,
    ) -> Vec<EventId> {
        let mut options = ReadOptions::strong();
        options.deadline = deadline;
        let mut request = PageRequest::new(options).with_limit(PageLimit::MAX);
        let mut events = Vec::new();
        // Return the list if it is complete. Otherwise the step may change any count.
        for _ in 0..MOST_PAGES {
            let Ok(page) = store.events_of_page(self.user, &request).await else { break };
            events.extend(page.items);
            match page.next {
                None if events.len() <= MOST_LISTED => return events,
                Some(next) if events.len() <= MOST_LISTED => request = request.with_cursor(next),
                _ => break,
            }
        }
        self.changes_any = true;
        Vec::new()
    }

    /// Records the number of RSVPs removed by an acknowledged step,
    /// and the number of listed events.
    pub(super) fn removed(&mut self, removed: u64, listed: usize) {
        self.changes_any |= removed > listed as u64;
    }

    /// Records a failed step.
    pub(super) fn failed(&mut self, error: &Error) {
        if error.effect() == Effect::NotApplied {
            self.changes = false;
        }
        self.pending = error.retry_at().map(Deadline::instant);
    }
}

impl Drop for RunningStep<'_> {
    fn drop(&mut self) {
        // 1. Leave the bucket. Writes of the user that end later see that the step has ended.
        let removals = &self.table.removals;
        let (mut written, ended) = (Vec::new(), self.table.clock.tick());
        if let Some(mut bucket) = removals.bucket(self.user) {
            bucket.ended = bucket.ended.max(ended);
            let own = bucket.running.iter().position(|step| step.began == self.began);
            written = own.map_or_else(Vec::new, |at| bucket.running.swap_remove(at).written);
        }
        removals.ended.fetch_max(ended, Ordering::SeqCst);
        removals.running.fetch_sub(1, Ordering::SeqCst);
        // 2. Have the counts of events with overlapping writes read again.
        if !self.changes {
            return;
        }
        // The step may have changed the counts of unknown events.
        if self.changes_any || written.len() >= MOST_LISTED {
            self.table.change_anywhere();
        }
        let span = Span { began: self.began, ended };
        let written_to = Written { change: Some(Change::Uncounted), pending: self.pending, span };
        for entry in written.iter().filter_map(|event| self.table.get(event)) {
            entry.record_write(&written_to);
        }
    }
}
