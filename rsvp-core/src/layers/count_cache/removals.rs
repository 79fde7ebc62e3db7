//! Steps of removals of users, and the writes that overlap them.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use xxhash_rust::xxh3::xxh3_64;

use super::clock::Tick;
use super::table::Table;
use crate::{
    Deadline, Effect, Error, EventId, PageLimit, PageRequest, ReadOptions, RsvpStore, UserId,
};

const BUCKETS: usize = 64;

/// The removals of the users of one hash.
#[derive(Debug, Default)]
struct Bucket {
    active: AtomicU32,
    ended: AtomicU64,
}

impl Bucket {
    /// Whether a removal ran at some moment after this tick.
    fn ran_since(&self, began: Tick) -> bool {
        // In this order: a removal that is over has left its tick before it left.
        self.active.load(Ordering::SeqCst) > 0 || self.ended.load(Ordering::SeqCst) > began
    }
}

/// The steps of removals of users through a table.
///
/// A step lists the events of its user first. A write of the same user that takes effect between
/// the list and the step is removed by the step, and not in the list. So a write that overlaps a
/// step of its user does not move a count: its event is read again.
#[derive(Debug)]
pub(super) struct Removals {
    all: Bucket,
    buckets: [Bucket; BUCKETS],
}

impl Default for Removals {
    fn default() -> Self {
        Self { all: Bucket::default(), buckets: std::array::from_fn(|_| Bucket::default()) }
    }
}

impl Removals {
    /// Whether any step ran at some moment after this tick.
    pub(super) fn any_since(&self, began: Tick) -> bool {
        self.all.ran_since(began)
    }

    /// Whether a step of this user, or of one of the same hash, ran at some moment after this tick.
    pub(super) fn of_user_since(&self, user: &UserId, began: Tick) -> bool {
        self.bucket(user).is_some_and(|bucket| bucket.ran_since(began))
    }

    fn bucket(&self, user: &UserId) -> Option<&Bucket> {
        let hash = xxh3_64(user.as_str().as_bytes());
        // Less than the number of buckets, which is a `usize`.
        self.buckets.get((hash % BUCKETS as u64) as usize)
    }
}

/// The most events of a user that are listed before a step. A user of more makes all counts be read
/// again.
const MOST_LISTED: usize = 10_000;

/// The most pages that are asked for.
const MOST_PAGES: usize = 100;

/// A step that runs. Dropped, it is over.
#[derive(Debug)]
pub(super) struct RunningStep<'a> {
    table: &'a Table,
    user: &'a UserId,
    /// Whether it may have changed the count of any event.
    changes_any: bool,
}

impl<'a> RunningStep<'a> {
    pub(super) fn new(table: &'a Table, user: &'a UserId) -> Self {
        let step = Self { table, user, changes_any: false };
        for bucket in step.buckets() {
            bucket.active.fetch_add(1, Ordering::SeqCst);
        }
        step
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
        self.changes_any &= error.effect() != Effect::NotApplied;
    }

    fn buckets(&self) -> impl Iterator<Item = &'a Bucket> + use<'a> {
        let removals = &self.table.removals;
        std::iter::once(&removals.all).chain(removals.bucket(self.user))
    }
}

impl Drop for RunningStep<'_> {
    fn drop(&mut self) {
        if self.changes_any {
            self.table.change_anywhere();
        }
        let ended = self.table.clock.tick();
        for bucket in self.buckets() {
            bucket.ended.fetch_max(ended, Ordering::SeqCst);
            bucket.active.fetch_sub(1, Ordering::SeqCst);
        }
    }
}
