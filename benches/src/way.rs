//! One interface for the store and the baseline on every backend.

use std::fmt::Debug;
use std::sync::Arc;

use rsvp_core::{
    EventId, PageLimit, PageRequest, ReadOptions, Rsvp, RsvpStore, RsvpStoreExt, UserId, Write,
    WriteOptions, async_trait,
};

/// The number of entries that a list asks for.
pub(crate) const PAGE: usize = 100;

/// A way to keep RSVPs: a store, or code by hand.
///
/// A slice of one is a single call, and a longer one a batch.
#[async_trait]
pub trait Way: Debug + Send + Sync {
    /// Adds pairs.
    async fn rsvp(&self, pairs: &[Rsvp]);
    /// Tells for each pair whether it exists.
    async fn has_rsvped(&self, pairs: &[Rsvp]) -> Vec<bool>;
    /// Counts the RSVPs of each event.
    async fn rsvp_count(&self, events: &[EventId]) -> Vec<u64>;
    /// The first page of an event's users.
    async fn attendees(&self, event: &EventId) -> usize;
    /// The first page of a user's events.
    async fn events_of(&self, user: &UserId) -> usize;
}

/// A store as a way. Counts are strong, as those by hand are.
#[derive(Clone, Debug)]
pub struct ByStore(pub Arc<dyn RsvpStore>);

/// Writes a batch, of which every entry is to be acknowledged.
pub async fn write_all(store: &dyn RsvpStore, writes: &[Write]) {
    let receipt = store.write_batch(writes, &WriteOptions::default()).await;
    receipt.expect("a batch").outcomes().expect("acknowledged");
}

fn page() -> PageRequest {
    PageRequest::default().with_limit(PageLimit::new(PAGE).expect("a legal limit"))
}

#[async_trait]
impl Way for ByStore {
    async fn rsvp(&self, pairs: &[Rsvp]) {
        if let [Rsvp { user, event }] = pairs {
            self.0.rsvp(user, event).await.expect("an RSVP");
            return;
        }
        let write = |pair: &Rsvp| Write::rsvp(pair.user.clone(), pair.event.clone());
        let writes: Vec<_> = pairs.iter().map(write).collect();
        write_all(&*self.0, &writes).await;
    }

    async fn has_rsvped(&self, pairs: &[Rsvp]) -> Vec<bool> {
        if let [Rsvp { user, event }] = pairs {
            return vec![self.0.has_rsvped(user, event).await.expect("an answer")];
        }
        let answers = self.0.has_rsvped_batch(pairs, &ReadOptions::strong()).await;
        answers.expect("answers").into_iter().map(|answer| answer.expect("an answer")).collect()
    }

    async fn rsvp_count(&self, events: &[EventId]) -> Vec<u64> {
        let counts = self.0.rsvp_count_batch(events, &ReadOptions::strong()).await;
        counts.expect("counts").into_iter().map(|count| count.expect("a count").value).collect()
    }

    async fn attendees(&self, event: &EventId) -> usize {
        self.0.attendees_page(event, &page()).await.expect("a page").items.len()
    }

    async fn events_of(&self, user: &UserId) -> usize {
        self.0.events_of_page(user, &page()).await.expect("a page").items.len()
    }
}
