//! By hand in memory: concurrent maps.

use async_trait::async_trait;
use dashmap::{DashMap, DashSet};
use rsvp::{Action, EventId, Outcome, Rsvp, UserId, Write};

use crate::target::{Answer, PAGE, Target};

/// A set of pairs, and a count for each event. Lists read the whole set.
#[derive(Debug, Default)]
pub(super) struct MemoryByHand {
    pairs: DashSet<(String, String)>,
    counts: DashMap<String, u64>,
}

fn key(pair: &Rsvp) -> (String, String) {
    (pair.user.to_string(), pair.event.to_string())
}

#[async_trait]
impl Target for MemoryByHand {
    async fn write(&self, write: &Write) -> Answer<Outcome> {
        let key = key(&write.rsvp);
        let event = key.1.clone();
        let changed = match write.action {
            Action::Rsvp => self.pairs.insert(key),
            Action::Cancel => self.pairs.remove(&key).is_some(),
        };
        if changed {
            let mut count = self.counts.entry(event).or_default();
            *count = match write.action {
                Action::Rsvp => *count + 1,
                Action::Cancel => count.saturating_sub(1),
            };
        }
        Ok(Outcome::from_changed(changed))
    }

    async fn has_rsvped(&self, pair: &Rsvp) -> Answer<bool> {
        Ok(self.pairs.contains(&key(pair)))
    }

    async fn rsvp_count(&self, event: &EventId) -> Answer<u64> {
        Ok(self.counts.get(event.as_str()).map_or(0, |count| *count))
    }

    async fn attendees(&self, event: &EventId) -> Answer<usize> {
        let found = self.pairs.iter().filter(|pair| pair.1 == event.as_str());
        Ok(found.take(PAGE.into()).count())
    }

    async fn events_of(&self, user: &UserId) -> Answer<usize> {
        let found = self.pairs.iter().filter(|pair| pair.0 == user.as_str());
        Ok(found.take(PAGE.into()).count())
    }

    async fn clear(&self, _events: &[EventId], _users: &[UserId]) -> Answer<()> {
        self.pairs.clear();
        self.counts.clear();
        Ok(())
    }
}
