//! The model: the expected RSVPs of a store, kept in the simplest way.

use std::collections::BTreeSet;
use std::fmt::Debug;

use futures_util::{Stream, StreamExt, TryStreamExt};
use rsvp_core::{
    Action, EventId, Outcome, PageRequest, Result, Rsvp, RsvpStore, RsvpStoreExt, UserId, Write,
};

use crate::calls::{counts_of, presence_of};

/// The expected pairs of a store after the writes applied to the model.
///
/// ```
/// use rsvp_core::{EventId, Outcome, RsvpStoreExt, UserId, Write};
/// use rsvp_memory::MemoryStore;
/// use rsvp_testkit::Model;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> rsvp_core::Result<()> {
/// let (store, mut model) = (MemoryStore::new(), Model::new());
/// let (user, event) = (UserId::from(1), EventId::from(2));
/// let expected = model.write(&Write::rsvp(user.clone(), event.clone()));
/// assert_eq!(store.rsvp(&user, &event).await?.outcome, expected);
/// model.assert_held_by(&store).await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Model {
    rsvps: BTreeSet<Rsvp>,
    users: BTreeSet<UserId>,
    events: BTreeSet<EventId>,
}

impl Model {
    /// Makes the model of an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies one write, and returns the expected outcome.
    pub fn write(&mut self, write: &Write) -> Outcome {
        let rsvp = &write.rsvp;
        self.users.insert(rsvp.user.clone());
        self.events.insert(rsvp.event.clone());
        Outcome::from_changed(match write.action {
            Action::Rsvp => self.rsvps.insert(rsvp.clone()),
            Action::Cancel => self.rsvps.remove(rsvp),
        })
    }

    /// Applies a batch, and returns the expected outcomes.
    ///
    /// ```
    /// use rsvp_core::{EventId, Outcome, UserId, Write};
    /// use rsvp_testkit::Model;
    ///
    /// let mut model = Model::new();
    /// let rsvp = Write::rsvp(UserId::from(1), EventId::from(2));
    /// assert_eq!(model.write_batch(&[rsvp.clone(), rsvp]), [Outcome::Applied, Outcome::Unchanged]);
    /// ```
    pub fn write_batch(&mut self, writes: &[Write]) -> Vec<Outcome> {
        writes.iter().map(|write| self.write(write)).collect()
    }

    /// Removes an event, and returns the expected number of removed RSVPs.
    pub fn remove_event(&mut self, event: &EventId) -> u64 {
        self.remove(|rsvp| rsvp.event == *event)
    }

    /// Removes a user, and returns the expected number of removed RSVPs.
    pub fn remove_user(&mut self, user: &UserId) -> u64 {
        self.remove(|rsvp| rsvp.user == *user)
    }

    fn remove(&mut self, goes: impl Fn(&Rsvp) -> bool) -> u64 {
        let before = self.rsvps.len();
        self.rsvps.retain(|rsvp| !goes(rsvp));
        (before - self.rsvps.len()) as u64
    }

    /// Returns whether the pair should exist.
    pub fn has_rsvped(&self, pair: &Rsvp) -> bool {
        self.rsvps.contains(pair)
    }

    /// Returns the expected number of RSVPs of the event.
    pub fn rsvp_count(&self, event: &EventId) -> u64 {
        self.attendees(event).len() as u64
    }

    /// Returns the expected users of the event, sorted.
    pub fn attendees(&self, event: &EventId) -> Vec<UserId> {
        let of_event = self.rsvps.iter().filter(|rsvp| rsvp.event == *event);
        of_event.map(|rsvp| rsvp.user.clone()).collect()
    }

    /// Returns the expected events of the user, sorted.
    pub fn events_of(&self, user: &UserId) -> Vec<EventId> {
        let of_user = self.rsvps.iter().filter(|rsvp| rsvp.user == *user);
        of_user.map(|rsvp| rsvp.event.clone()).collect()
    }

    /// Returns all expected RSVPs, sorted.
    pub fn rsvps(&self) -> Vec<Rsvp> {
        self.rsvps.iter().cloned().collect()
    }

    /// Reads all of `store` in every possible way, strongly, and compares.
    ///
    /// It reads every pair of the users and events ever seen by the model,
    /// so it also finds removed RSVPs.
    ///
    /// # Panics
    ///
    /// If the store holds anything else, or fails.
    pub async fn assert_held_by(&self, store: &dyn RsvpStore) {
        // Only lists can show RSVPs of unknown users and events.
        let request = PageRequest::default();
        self.assert_held_in_pages(store, &request).await;

        let mut pairs = Vec::new();
        for user in &self.users {
            pairs.extend(self.events.iter().map(|event| Rsvp::new(user.clone(), event.clone())));
        }
        for (pair, answer) in pairs.iter().zip(presence_of(store, &pairs).await) {
            assert_eq!(answer, self.has_rsvped(pair), "has_rsvped of {pair:?}");
        }

        let events: Vec<_> = self.events.iter().cloned().collect();
        let counts = counts_of(store, &events).await;
        for (event, count) in events.iter().zip(counts) {
            assert_eq!(count, self.rsvp_count(event), "count of {event:?}");
        }
    }

    /// Reads every listing of `store` by `request`, and compares.
    ///
    /// # Panics
    ///
    /// If a listing misses or invents an entry, or fails. An entry may be repeated.
    pub async fn assert_held_in_pages(&self, store: &dyn RsvpStore, request: &PageRequest) {
        for event in &self.events {
            let expected = self.attendees(event);
            let listing = store.attendees_with(event, request.clone());
            assert_eq!(sorted(expected.len(), listing).await, expected, "attendees of {event:?}");
        }
        for user in &self.users {
            let expected = self.events_of(user);
            let listing = store.events_of_with(user, request.clone());
            assert_eq!(sorted(expected.len(), listing).await, expected, "events of {user:?}");
        }
        let expected = self.rsvps();
        let listing = store.scan_with(request.clone());
        assert_eq!(sorted(expected.len(), listing).await, expected, "scan");
    }
}

/// Returns all items of a listing of this length, sorted.
async fn sorted<T: Ord + Debug>(expected: usize, listing: impl Stream<Item = Result<T>>) -> Vec<T> {
    // An engine may repeat entries, but a listing must end.
    let most = 1000 + 10 * expected;
    let items: Vec<T> = listing.take(most).try_collect().await.unwrap();
    assert!(items.len() < most, "a listing of {expected} entries that does not end");
    let items: BTreeSet<T> = items.into_iter().collect();
    items.into_iter().collect()
}
