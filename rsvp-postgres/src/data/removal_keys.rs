//! The positions at which removals of events go on.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rsvp_core::EventId;

/// The most keys that are remembered. A removal without its key begins again.
const MOST: usize = 1024;

/// The user removed last, for each event whose removal is under way.
///
/// A step goes on after this key, and skips the dead index entries of the steps before it.
/// The server keeps dead entries as long as an old snapshot is open.
/// Without the key, the time of a removal would grow with the square of the number of its users.
///
/// A lost or outdated key, as after an abandoned removal, costs only time.
/// The event's count tells whether any RSVPs are left. If so, the removal begins again.
#[derive(Debug, Default)]
pub(crate) struct RemovalKeys(Mutex<HashMap<EventId, String>>);

impl RemovalKeys {
    /// Returns the user of `event` removed last. The next step begins after this user.
    pub(crate) fn after(&self, event: &EventId) -> String {
        self.locked().get(event).cloned().unwrap_or_default()
    }

    /// Sets the user of `event` removed last, or forgets it if the removal is done.
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
        // Any other key may go, because a lost key costs only time.
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
