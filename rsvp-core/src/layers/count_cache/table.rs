//! The counts that are kept.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use papaya::HashMap;
use tokio::time::Instant;

use super::caller::Bounds;
use super::clock::{BegunRead, Clock, Tick};
use super::entry::Entry;
use super::eviction::Ring;
use super::removals::Removals;
use crate::{Count, EventId, SessionToken};

/// The counts of the events that are asked for.
///
/// A hit looks the event up in a lock-free map and loads the snapshot of its entry. The map is
/// `papaya`'s, since a sharded map with locks, and a cache that records each access, store to
/// memory that all readers share. Which entry goes when the table is full is decided by a ring of a
/// few lines ([`Ring`]), which only those touch who bring a new entry.
pub(super) struct Table {
    entries: HashMap<EventId, Arc<Entry>>,
    ring: Mutex<Ring>,
    epoch: Instant,
    /// How long a write and a refresh of its count wait for each other.
    pub(super) fence_timeout: Duration,
    pub(super) clock: Clock,
    /// When counts last changed that nobody named.
    changed_anywhere: AtomicU64,
    pub(super) removals: Removals,
    /// The tokens of the writes through this cache.
    receipts: Mutex<Arc<SessionToken>>,
}

impl Table {
    pub(super) fn new(capacity: usize, fence_timeout: Duration) -> Self {
        Self {
            entries: HashMap::new(),
            ring: Mutex::new(Ring::new(capacity)),
            epoch: Instant::now(),
            fence_timeout,
            clock: Clock::default(),
            changed_anywhere: AtomicU64::new(0),
            removals: Removals::default(),
            receipts: Mutex::default(),
        }
    }

    /// Answers from memory.
    pub(super) fn hit(&self, event: &EventId, bounds: &Bounds) -> Option<Count> {
        self.entries.pin().get(event)?.hit(bounds)
    }

    /// The entry of an event, if there is one.
    pub(super) fn get(&self, event: &EventId) -> Option<Arc<Entry>> {
        self.entries.pin().get(event).cloned()
    }

    /// The entry of an event for a caller that reads its count, new if need be.
    pub(super) fn get_or_insert(&self, event: &EventId) -> Arc<Entry> {
        if let Some(entry) = self.get(event) {
            return entry;
        }
        // Entries come and go under the lock of the ring, so that the two agree.
        let mut ring = self.ring();
        let entries = self.entries.pin();
        if let Some(entry) = entries.get(event) {
            return entry.clone();
        }
        let entry = Arc::new(Entry::new(event.clone(), self.epoch));
        if let Some(evicted) = ring.insert(entry.clone()) {
            // In this order: a write that finds it still here records its change in it.
            evicted.evict();
            entries.remove(evicted.event());
        }
        entries.insert(event.clone(), entry.clone());
        entry.insert(self.clock.tick());
        entry
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        // Nothing that panics runs under the lock.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a read of the store.
    pub(super) fn begin_read(&self) -> BegunRead {
        let receipts = self.receipts().clone();
        BegunRead { at: Instant::now(), began: self.clock.tick(), receipts }
    }

    /// Remembers the token of an acknowledged write.
    pub(super) fn acknowledge(&self, token: &SessionToken) {
        if token.is_empty() {
            return;
        }
        Arc::make_mut(&mut self.receipts()).merge(token);
    }

    fn receipts(&self) -> MutexGuard<'_, Arc<SessionToken>> {
        self.receipts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that any count may have changed until now.
    pub(super) fn change_anywhere(&self) {
        self.changed_anywhere.fetch_max(self.clock.tick(), Ordering::SeqCst);
    }

    /// When that was last recorded.
    pub(super) fn changed_anywhere(&self) -> Tick {
        self.changed_anywhere.load(Ordering::SeqCst)
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("entries", &self.entries.len()).finish_non_exhaustive()
    }
}
