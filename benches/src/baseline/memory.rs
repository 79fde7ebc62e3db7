//! The memory of one process, as a developer would use it without this library.

use dashmap::{DashMap, DashSet};
use rsvp_core::{EventId, Rsvp, UserId, async_trait};

use crate::way::{PAGE, Way};

/// The baseline in memory: a concurrent set of pairs, and a concurrent map of counts.
///
/// The count and the set can disagree for a moment, and a list reads all pairs. Nothing is allocated
/// but the two texts of a pair.
#[derive(Debug, Default)]
pub struct MemoryBaseline {
    pairs: DashSet<(String, String)>,
    counts: DashMap<String, u64>,
}

fn key(Rsvp { user, event }: &Rsvp) -> (String, String) {
    (event.as_str().to_owned(), user.as_str().to_owned())
}

impl MemoryBaseline {
    fn first_page(&self, of: impl Fn(&(String, String)) -> bool) -> usize {
        self.pairs.iter().filter(|pair| of(pair)).take(PAGE).count()
    }
}

#[async_trait]
impl Way for MemoryBaseline {
    async fn rsvp(&self, pairs: &[Rsvp]) {
        for pair in pairs {
            if self.pairs.insert(key(pair)) {
                *self.counts.entry(pair.event.as_str().to_owned()).or_default() += 1;
            }
        }
    }

    async fn has_rsvped(&self, pairs: &[Rsvp]) -> Vec<bool> {
        pairs.iter().map(|pair| self.pairs.contains(&key(pair))).collect()
    }

    async fn rsvp_count(&self, events: &[EventId]) -> Vec<u64> {
        let count = |event: &EventId| self.counts.get(event.as_str()).map_or(0, |count| *count);
        events.iter().map(count).collect()
    }

    async fn attendees(&self, event: &EventId) -> usize {
        self.first_page(|(of, _)| of == event.as_str())
    }

    async fn events_of(&self, user: &UserId) -> usize {
        self.first_page(|(_, of)| of == user.as_str())
    }
}
