//! The model: the RSVPs that a store should hold, kept in the simplest way.

use std::collections::BTreeSet;
use std::fmt::Debug;

use futures_util::TryStreamExt;
use rsvp_core::{
    Action, EventId, Outcome, PageRequest, Result, Rsvp, RsvpStore, RsvpStoreExt, UserId, Write,
};

use crate::calls::{counts_of, presence_of};

/// The set of pairs that a store should hold after the writes that the model has applied.
#[derive(Clone, Debug, Default)]
pub struct Model {
    rsvps: BTreeSet<Rsvp>,
    users: BTreeSet<UserId>,
    events: BTreeSet<EventId>,
}

impl Model {
    /// The model of an empty store.
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

    /// Whether the pair should exist.
    pub fn has_rsvped(&self, pair: &Rsvp) -> bool {
        self.rsvps.contains(pair)
    }

    /// The number of RSVPs that the event should have.
    pub fn rsvp_count(&self, event: &EventId) -> u64 {
        self.attendees(event).len() as u64
    }

    /// The users who should attend the event, sorted.
    pub fn attendees(&self, event: &EventId) -> Vec<UserId> {
        let of_event = self.rsvps.iter().filter(|rsvp| rsvp.event == *event);
        of_event.map(|rsvp| rsvp.user.clone()).collect()
    }

    /// The events that the user should attend, sorted.
    pub fn events_of(&self, user: &UserId) -> Vec<EventId> {
        let of_user = self.rsvps.iter().filter(|rsvp| rsvp.user == *user);
        of_user.map(|rsvp| rsvp.event.clone()).collect()
    }

    /// All RSVPs that should exist, sorted.
    pub fn rsvps(&self) -> Vec<Rsvp> {
        self.rsvps.iter().cloned().collect()
    }

    /// Reads all of `store` in every way there is, strongly, and compares.
    ///
    /// Asks for every pair of the users and events that the model has ever seen, so that removed
    /// RSVPs are looked for too.
    ///
    /// # Panics
    ///
    /// If the store holds anything else, or fails.
    pub async fn assert_held_by(&self, store: &dyn RsvpStore) {
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
            let attendees = store.attendees_with(event, request.clone());
            assert_eq!(sorted(attendees).await, self.attendees(event), "attendees of {event:?}");
        }
        for user in &self.users {
            let events = store.events_of_with(user, request.clone());
            assert_eq!(sorted(events).await, self.events_of(user), "events of {user:?}");
        }
        assert_eq!(sorted(store.scan_with(request.clone())).await, self.rsvps(), "scan");
    }
}

/// Everything of a listing, sorted.
async fn sorted<T: Ord + Debug>(listing: impl futures_util::Stream<Item = Result<T>>) -> Vec<T> {
    let items: BTreeSet<T> = listing.try_collect().await.unwrap();
    items.into_iter().collect()
}
