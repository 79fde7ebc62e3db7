//! A store in this process.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use rsvp::{
    EventId, Outcome, PageLimit, PageRequest, Rsvp, RsvpStore, RsvpStoreExt, UserId, Write,
    WriteOptions,
};

use super::{AT_ONCE, Answer, PAGE, Target};

/// The length of a batch that fills the store.
const BATCH: usize = 1_000;

/// A store in this process, with single calls of its verbs.
#[derive(Debug)]
pub struct StoreTarget {
    store: Arc<dyn RsvpStore>,
}

impl StoreTarget {
    /// A target that is this store.
    pub fn new(store: Arc<dyn RsvpStore>) -> Self {
        Self { store }
    }
}

fn page() -> rsvp::Result<PageRequest> {
    Ok(PageRequest::default().with_limit(PageLimit::new(PAGE.into())?))
}

#[async_trait]
impl Target for StoreTarget {
    async fn write(&self, write: &Write) -> Answer<Outcome> {
        let writes = std::slice::from_ref(write);
        let receipt = self.store.write_batch(writes, &WriteOptions::default()).await?;
        let written = receipt.results.into_iter().next();
        let missing = || rsvp::Error::corrupt(rsvp::Operation::Write, "no answer to one entry");
        Ok(written.ok_or_else(missing)??.outcome)
    }

    async fn has_rsvped(&self, pair: &Rsvp) -> Answer<bool> {
        Ok(self.store.has_rsvped(&pair.user, &pair.event).await?)
    }

    async fn rsvp_count(&self, event: &EventId) -> Answer<u64> {
        Ok(self.store.rsvp_count(event).await?.value)
    }

    async fn attendees(&self, event: &EventId) -> Answer<usize> {
        Ok(self.store.attendees_page(event, &page()?).await?.items.len())
    }

    async fn events_of(&self, user: &UserId) -> Answer<usize> {
        Ok(self.store.events_of_page(user, &page()?).await?.items.len())
    }

    async fn fill(&self, pairs: &[Rsvp]) -> Answer<()> {
        for pairs in pairs.chunks(BATCH) {
            let write = |pair: &Rsvp| Write::rsvp(pair.user.clone(), pair.event.clone());
            let writes: Vec<Write> = pairs.iter().map(write).collect();
            self.store.write_batch(&writes, &WriteOptions::default()).await?.outcomes()?;
        }
        Ok(())
    }

    async fn clear(&self, events: &[EventId], _users: &[UserId]) -> Answer<()> {
        let removals: Vec<_> = events.iter().map(|event| self.store.remove_event(event)).collect();
        let removed: rsvp::Result<Vec<_>> =
            stream::iter(removals).buffer_unordered(AT_ONCE).try_collect().await;
        removed?;
        Ok(())
    }

    async fn close(&self) -> Answer<()> {
        Ok(self.store.close().await?)
    }
}
