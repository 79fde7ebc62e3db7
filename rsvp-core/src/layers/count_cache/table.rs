//! The table of cached counts.

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

/// The cached counts of events.
///
/// A hit looks the event up in a lock-free map and loads the snapshot of its entry.
/// The map is `papaya`'s. A sharded map with locks, or a cache with a record of each access,
/// would store to memory shared by all readers.
/// A small ring ([`Ring`]) chooses the entry that leaves a full table.
/// Only callers with a new entry touch it.
pub(super) struct Table {
    entries: HashMap<EventId, Arc<Entry>>,
    ring: Mutex<Ring>,
    epoch: Instant,
    /// The time for which a write and a refresh of its count wait for each other.
    pub(super) fence_timeout: Duration,
    pub(super) clock: Clock,
    /// The tick of the last change of counts of unknown events.
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

    /// Returns the count from memory, if it is within the bounds.
    pub(super) fn hit(&self, event: &EventId, bounds: &Bounds) -> Option<Count> {
        self.entries.pin().get(event)?.hit(bounds)
    }

    /// Returns the entry of an event, if there is one.
    pub(super) fn get(&self, event: &EventId) -> Option<Arc<Entry>> {
        self.entries.pin().get(event).cloned()
    }

    /// Returns the entry of an event for a caller that reads its count. Makes one if there is none.
    pub(super) fn get_or_insert(&self, event: &EventId) -> Arc<Entry> {
        if let Some(entry) = self.get(event) {
            return entry;
        }
        // Entries come and go under the lock of the ring, so that the ring and the map agree.
        let mut ring = self.ring();
        let entries = self.entries.pin();
        if let Some(entry) = entries.get(event) {
            return entry.clone();
        }
        let entry = Arc::new(Entry::new(event.clone(), self.epoch));
        if let Some(evicted) = ring.insert(entry.clone()) {
            // In this order: a write that still finds the old entry in the map records its change there.
            evicted.evict();
            entries.remove(evicted.event());
        }
        entries.insert(event.clone(), entry.clone());
        entry.insert(self.clock.tick());
        entry
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        // Code under the lock does not panic.
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

    /// Returns the tick of the last such record.
    pub(super) fn changed_anywhere(&self) -> Tick {
        self.changed_anywhere.load(Ordering::SeqCst)
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("entries", &self.entries.len()).finish_non_exhaustive()
    }
}
