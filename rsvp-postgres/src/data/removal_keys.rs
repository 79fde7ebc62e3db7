//! Where the removals of events go on.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rsvp_core::EventId;

/// The most removals whose keys are remembered. A removal whose key is forgotten begins again.
const MOST: usize = 1024;

/// For each event under removal, the last user that was removed.
///
/// A step that began at the first user would read all index entries of the steps before it, which
/// are dead and, as long as an old snapshot is open, not cleared away: a removal would take time
/// that grows with the square of the number of its users. A key that is lost or outdated, as that
/// of a removal that was given up, costs time only: the event's count tells whether any RSVPs are
/// left, and then the removal begins again.
#[derive(Debug, Default)]
pub(crate) struct RemovalKeys(Mutex<HashMap<EventId, String>>);

impl RemovalKeys {
    /// The user after which the next step of the removal of `event` begins.
    pub(crate) fn after(&self, event: &EventId) -> String {
        self.locked().get(event).cloned().unwrap_or_default()
    }

    /// Remembers where the removal of `event` goes on; nothing if it is done.
    pub(crate) fn set(&self, event: &EventId, next: Option<&str>) {
        let mut keys = self.locked();
        match next {
            Some(next) => {
                keys.insert(event.clone(), next.to_owned());
            }
            None => {
                keys.remove(event);
            }
        }
        if keys.len() > MOST {
            let other = keys.keys().find(|key| *key != event).cloned();
            other.map(|other| keys.remove(&other));
        }
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<EventId, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_bounded_and_go_when_the_removal_is_done() {
        let keys = RemovalKeys::default();
        for event in (0..2 * MOST as u64).map(EventId::from) {
            keys.set(&event, Some("k"));
        }
        assert_eq!(keys.locked().len(), MOST);
        let last = EventId::from(2 * MOST as u64 - 1);
        assert_eq!(keys.after(&last), "k");
        keys.set(&last, None);
        assert_eq!((keys.after(&last).as_str(), keys.locked().len()), ("", MOST - 1));
    }
}
