//! Steps of removals of users, and the writes that overlap them.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

use super::cached::Written;
use super::clock::{Span, Tick};
use super::table::Table;
use super::validity::Change;
use crate::{
    Deadline, Effect, Error, EventId, PageLimit, PageRequest, ReadOptions, Rsvp, RsvpStore, UserId,
};

const BUCKETS: usize = 64;

/// The most events of a user that are listed before a step. A user of more makes all counts be read
/// again.
const MOST_LISTED: usize = 10_000;

/// The most pages that are asked for.
const MOST_PAGES: usize = 100;

/// The steps of the users of one hash.
#[derive(Debug, Default)]
struct Bucket {
    running: Vec<Running>,
    /// When one of them was last over.
    ended: Tick,
}

/// A step under way, and the events of its user that were written to meanwhile.
#[derive(Debug)]
struct Running {
    user: UserId,
    /// Tells it from other steps of its user.
    began: Tick,
    written: Vec<EventId>,
}

/// The steps of removals of users through a table.
///
/// A step lists the events of its user first. A write of the same user that takes effect between
/// the list and the step is removed by the step, and not in the list. So a write that ends before
/// the step tells it its event, whose count is read again after the step. A write that ends later
/// has the count read again itself.
#[derive(Debug)]
pub(super) struct Removals {
    /// How many steps are under way, and when one was last over: mostly a write need not know more.
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
    /// Whether any step ran at some moment after this tick.
    pub(super) fn any_since(&self, began: Tick) -> bool {
        // In this order: a step that is over has left its tick before it left.
        self.running.load(Ordering::SeqCst) > 0 || self.ended.load(Ordering::SeqCst) > began
    }

    /// Tells the steps of its user of a write that began at this tick and ends now. Returns
    /// whether one of them, or of another user of the same hash, was over meanwhile.
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
        // Less than the number of buckets, which is a `usize`.
        let bucket = self.buckets.get((hash % BUCKETS as u64) as usize)?;
        Some(bucket.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A step that runs. Dropped, it is over.
#[derive(Debug)]
pub(super) struct RunningStep<'a> {
    table: &'a Table,
    user: &'a UserId,
    began: Tick,
    /// Whether it may have changed the count of any event.
    changes_any: bool,
    /// Whether it may have changed a count.
    changes: bool,
    /// Until when it may do so, if it has failed.
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

    /// Records what an acknowledged step has removed, of so many events that were listed.
    pub(super) fn removed(&mut self, removed: u64, listed: usize) {
        self.changes_any |= removed > listed as u64;
    }

    /// Records that the step has failed.
    pub(super) fn failed(&mut self, error: &Error) {
        if error.effect() == Effect::NotApplied {
            self.changes = false;
        }
        self.pending = error.retry_at().map(Deadline::instant);
    }
}

impl Drop for RunningStep<'_> {
    fn drop(&mut self) {
        // 1. Writes of the user that end from now on find it over.
        let removals = &self.table.removals;
        let (mut written, ended) = (Vec::new(), self.table.clock.tick());
        if let Some(mut bucket) = removals.bucket(self.user) {
            bucket.ended = bucket.ended.max(ended);
            let own = bucket.running.iter().position(|step| step.began == self.began);
            written = own.map_or_else(Vec::new, |at| bucket.running.swap_remove(at).written);
        }
        removals.ended.fetch_max(ended, Ordering::SeqCst);
        removals.running.fetch_sub(1, Ordering::SeqCst);
        // 2. The events of those that ended before.
        if !self.changes {
            return;
        }
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
