//! The choice of the entry that leaves a full table.

use std::sync::Arc;

use super::entry::Entry;

/// The number of entries that an eviction looks at.
const LOOKS: usize = 16;

/// The entries in a ring, with a hand that goes around it: the CLOCK algorithm.
/// It approximates "least recently used" without a store to memory for each use.
///
/// The hand passes entries that were used since its last visit, and replaces the first unused one.
/// If all of the next few were in use, the last of them is replaced.
#[derive(Debug)]
pub(super) struct Ring {
    entries: Vec<Arc<Entry>>,
    hand: usize,
    capacity: usize,
}

impl Ring {
    pub(super) fn new(capacity: usize) -> Self {
        Self { entries: Vec::new(), hand: 0, capacity }
    }

    /// Adds an entry, and returns the entry that it replaces.
    pub(super) fn insert(&mut self, entry: Arc<Entry>) -> Option<Arc<Entry>> {
        if self.entries.len() < self.capacity {
            self.entries.push(entry);
            return None;
        }
        // Move the hand to the next unused entry.
        let mut victim = self.hand;
        for _ in 0..LOOKS {
            victim = self.hand;
            self.hand = (self.hand + 1) % self.entries.len().max(1);
            if self.entries.get(victim).is_some_and(|entry| entry.is_unused()) {
                break;
            }
        }
        self.entries.get_mut(victim).map(|slot| std::mem::replace(slot, entry))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;
    use crate::EventId;
    use crate::layers::count_cache::caller::Bounds;

    const BOUNDS: Bounds =
        Bounds { exact: Duration::ZERO, ambiguous: Duration::ZERO, stale: None, not_before: 0 };

    fn entry(n: u64) -> Arc<Entry> {
        Arc::new(Entry::new(EventId::from(n), Instant::now()))
    }

    #[test]
    fn what_is_asked_for_stays_among_many_that_are_not() {
        let mut ring = Ring::new(10);
        let hot = entry(0);
        assert!(ring.insert(hot.clone()).is_none());
        for n in 1..1000 {
            hot.hit(&BOUNDS);
            let evicted = ring.insert(entry(n));
            assert_eq!(evicted.is_some(), n >= 10);
            assert!(evicted.is_none_or(|evicted| evicted.event() != hot.event()));
        }
    }

    #[test]
    fn one_goes_also_where_all_are_in_use() {
        for capacity in [1, 2, 100] {
            let mut ring = Ring::new(capacity);
            let entries: Vec<_> = (0..capacity as u64).map(entry).collect();
            assert!(entries.iter().all(|entry| ring.insert(entry.clone()).is_none()));
            for n in 1000..2000 {
                for entry in &entries {
                    let _ = entry.hit(&BOUNDS);
                }
                assert!(ring.insert(entry(n)).is_some());
            }
        }
    }
}
