//! A set that can be listed in pages while it changes.

use std::hash::Hash;

use indexmap::IndexSet;

/// Below this many entries, unused capacity is not worth giving back.
const KEPT_CAPACITY: usize = 64;

/// A set with O(1) insertion, removal and lookup, whose pages are read from the highest position
/// down.
///
/// Removal moves the last entry into the gap. Read downwards, that entry either was listed
/// already, and may be listed again, or still lies below the reader: whatever stays in the set
/// during a whole listing is listed at least once.
#[derive(Debug)]
pub(crate) struct PagedSet<T>(IndexSet<T>);

impl<T> Default for PagedSet<T> {
    fn default() -> Self {
        Self(IndexSet::new())
    }
}

impl<T: Hash + Eq + Clone> PagedSet<T> {
    /// Whether `entry` was absent.
    pub(crate) fn insert(&mut self, entry: T) -> bool {
        self.0.insert(entry)
    }

    /// Whether `entry` was present. Gives memory back when the set has shrunk to a quarter.
    pub(crate) fn remove(&mut self, entry: &T) -> bool {
        let removed = self.0.swap_remove(entry);
        let capacity = self.0.capacity();
        if capacity > KEPT_CAPACITY && self.0.len() < capacity / 4 {
            self.0.shrink_to(capacity / 2);
        }
        removed
    }

    pub(crate) fn contains(&self, entry: &T) -> bool {
        self.0.contains(entry)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn get(&self, position: usize) -> Option<&T> {
        self.0.get_index(position)
    }

    /// Up to `limit` entries below `position`, highest first, and the position at which the next
    /// page begins, or `None` at the end.
    pub(crate) fn page(&self, below: usize, limit: usize) -> (Vec<T>, Option<usize>) {
        let below = below.min(self.0.len());
        let end = below.saturating_sub(limit);
        let items = self.0.get_range(end..below).into_iter().flatten().rev().cloned().collect();
        (items, if end > 0 { Some(end) } else { None })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_stays_is_listed(
            start in 0..40_usize,
            limit in 1..5_usize,
            changes in proptest::collection::vec((any::<bool>(), 0..40_usize), 0..60),
        ) {
            let mut set = PagedSet::default();
            (0..start).for_each(|entry| { set.insert(entry); });
            let mut stayed: HashSet<_> = (0..start).collect();
            let mut listed = HashSet::new();
            let mut changes = changes.into_iter();
            let mut next = Some(usize::MAX);
            while let Some(below) = next {
                let (items, after) = set.page(below, limit);
                prop_assert!(items.len() <= limit);
                listed.extend(items);
                next = after;
                for (insert, entry) in changes.by_ref().take(3) {
                    if insert {
                        set.insert(entry);
                    } else {
                        set.remove(&entry);
                        stayed.remove(&entry);
                    }
                }
            }
            prop_assert!(stayed.is_subset(&listed), "{:?} not listed", stayed.difference(&listed));
        }
    }

    #[test]
    fn a_set_that_shrinks_gives_its_memory_back() {
        let mut set = PagedSet::default();
        (0..100_000).for_each(|entry| {
            set.insert(entry);
        });
        (1..100_000).for_each(|entry| {
            set.remove(&entry);
        });
        assert!(set.0.capacity() <= 4 * KEPT_CAPACITY, "{}", set.0.capacity());
    }
}
