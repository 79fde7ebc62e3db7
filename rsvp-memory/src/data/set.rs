//! A set with pages that stay valid while the set changes.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::LazyLock;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// The number of entries below which a set keeps its unused capacity
/// and the places of removed entries.
const KEPT: usize = 32;

/// The hash keys of all sets. Sets are many and small, so they share one hasher.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// A set with O(1) insertion, removal and lookup, listed from the newest entry to the oldest.
///
/// Every insertion gets a new number, higher than all before.
/// The next page begins below the number of the last listed entry.
/// So every entry that stays in the set is listed once, and nothing is listed twice.
#[derive(Debug)]
pub(crate) struct PagedSet<T> {
    /// The entries by number, and the places of some removed entries.
    slots: Vec<Slot<T>>,
    /// The place of each entry.
    places: HashTable<usize>,
    next_number: u64,
}

#[derive(Debug)]
struct Slot<T> {
    number: u64,
    entry: Option<T>,
}

impl<T> Default for PagedSet<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), places: HashTable::new(), next_number: 0 }
    }
}

impl<T: Hash + Eq + Clone> PagedSet<T> {
    /// Adds an entry. Returns whether `entry` was absent.
    pub(crate) fn insert(&mut self, entry: T) -> bool {
        let slots = &mut self.slots;
        // The table holds places, so it compares entries through the slots.
        let is_same = |place: &usize| entry_at(slots, *place) == Some(&entry);
        match self.places.entry(hash(&entry), is_same, |place| hash_at(slots, *place)) {
            Entry::Occupied(_) => false,
            Entry::Vacant(vacant) => {
                vacant.insert(slots.len());
                slots.push(Slot { number: self.next_number, entry: Some(entry) });
                self.next_number += 1;
                true
            }
        }
    }

    /// Removes an entry. Returns whether `entry` was present.
    pub(crate) fn remove(&mut self, entry: &T) -> bool {
        let slots = &mut self.slots;
        let is_same = |place: &usize| entry_at(slots, *place) == Some(entry);
        let Ok(found) = self.places.find_entry(hash(entry), is_same) else { return false };
        let (place, _) = found.remove();
        // 1. Leave a gap, so that the numbers stay sorted.
        if let Some(slot) = slots.get_mut(place) {
            slot.entry = None;
        }
        // 2. Remove the gaps at the end.
        while slots.last().is_some_and(|slot| slot.entry.is_none()) {
            slots.pop();
        }
        self.give_back();
        true
    }

    /// Returns unused memory, if most places are of removed entries or the set has shrunk
    /// to a quarter.
    fn give_back(&mut self) {
        let (used, places) = (self.places.len(), self.slots.len());
        // 1. Close the gaps. Places change, so the table is built again.
        if places > KEPT && used < places / 2 {
            self.slots.retain(|slot| slot.entry.is_some());
            self.places.clear();
            let slots = &self.slots;
            for place in 0..slots.len() {
                let own = hash_at(slots, place);
                self.places.insert_unique(own, place, |place| hash_at(slots, *place));
            }
        }
        // 2. Halve the capacity after the set has shrunk to a quarter.
        //    The factor of two keeps the cost constant on average.
        let capacity = self.slots.capacity();
        if capacity > 2 * KEPT && self.slots.len() < capacity / 4 {
            self.slots.shrink_to(capacity / 2);
        }
        let capacity = self.places.capacity();
        if capacity > 2 * KEPT && used < capacity / 4 {
            let slots = &self.slots;
            self.places.shrink_to(capacity / 2, |place| hash_at(slots, *place));
        }
    }

    pub(crate) fn contains(&self, entry: &T) -> bool {
        let is_same = |place: &usize| entry_at(&self.slots, *place) == Some(entry);
        self.places.find(hash(entry), is_same).is_some()
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Returns the newest entry with a number below this one, and its number.
    pub(crate) fn newest_below(&self, number: u64) -> Option<(u64, &T)> {
        self.below(number).next()
    }

    /// Returns up to `limit` entries with numbers below this one, newest first.
    /// The second value is the number below which the next page begins, or `None` at the end.
    pub(crate) fn page(&self, below: u64, limit: usize) -> (Vec<T>, Option<u64>) {
        // Look one entry further than the page to know whether there is another page.
        let mut left = self.below(below);
        let (mut items, mut last) = (Vec::new(), None);
        for (number, entry) in left.by_ref().take(limit) {
            items.push(entry.clone());
            last = Some(number);
        }
        let more = left.next().is_some();
        (items, last.filter(|_| more))
    }

    fn below(&self, number: u64) -> impl Iterator<Item = (u64, &T)> {
        // The slots are sorted by number.
        let end = self.slots.partition_point(|slot| slot.number < number);
        let slots = self.slots.iter().take(end).rev();
        slots.filter_map(|slot| Some((slot.number, slot.entry.as_ref()?)))
    }
}

fn hash<T: Hash>(entry: &T) -> u64 {
    HASHER.hash_one(entry)
}

fn entry_at<T>(slots: &[Slot<T>], place: usize) -> Option<&T> {
    slots.get(place)?.entry.as_ref()
}

/// Returns the hash of the entry at an occupied place.
fn hash_at<T: Hash>(slots: &[Slot<T>], place: usize) -> u64 {
    entry_at(slots, place).map_or(0, hash)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_stays_is_listed_and_nothing_is_listed_twice(
            start in 0..200_usize,
            limit in 1..5_usize,
            changes in proptest::collection::vec((any::<bool>(), 0..200_usize), 0..400),
        ) {
            let mut set = PagedSet::default();
            (0..start).for_each(|entry| { set.insert(entry); });
            let mut held: HashSet<_> = (0..start).collect();
            let mut stayed = held.clone();
            let mut listed = HashSet::new();
            let mut changes = changes.into_iter();
            let mut next = Some(u64::MAX);
            while let Some(below) = next {
                let (items, after) = set.page(below, limit);
                prop_assert!(items.len() <= limit);
                for item in items {
                    prop_assert!(listed.insert(item), "{item} is listed twice");
                }
                next = after;
                for (insert, entry) in changes.by_ref().take(20) {
                    if insert {
                        prop_assert_eq!(set.insert(entry), held.insert(entry));
                    } else {
                        prop_assert_eq!(set.remove(&entry), held.remove(&entry));
                        stayed.remove(&entry);
                    }
                    prop_assert_eq!(set.len(), held.len());
                }
            }
            prop_assert!(stayed.is_subset(&listed), "{:?} not listed", stayed.difference(&listed));
            prop_assert!((0..200).all(|entry| set.contains(&entry) == held.contains(&entry)));
            let rest: HashSet<_> = set.page(u64::MAX, usize::MAX).0.into_iter().collect();
            prop_assert_eq!(rest, held);
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
        assert!(set.slots.capacity() <= 4 * KEPT, "{}", set.slots.capacity());
        assert!(set.places.capacity() <= 4 * KEPT, "{}", set.places.capacity());
    }
}
