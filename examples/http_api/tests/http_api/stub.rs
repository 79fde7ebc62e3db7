//! A store that fails, or takes its time.

use std::time::Duration;

use rsvp::{
    BatchReceipt, Consistency, Count, Error, EventId, MemoryStore, Page, PageLimit, PageRequest,
    RemovalStep, Result, Rsvp, RsvpStore, UserId, Write, async_trait,
};
use tokio::time::sleep;

#[derive(Debug)]
pub(crate) struct Stub {
    inner: MemoryStore,
    delay: Duration,
    error: Option<Error>,
}

impl Stub {
    pub(crate) fn failing(error: Error) -> Self {
        Self { inner: MemoryStore::new(), delay: Duration::ZERO, error: Some(error) }
    }

    pub(crate) fn slow(delay: Duration) -> Self {
        Self { inner: MemoryStore::new(), delay, error: None }
    }

    pub(crate) fn inner(&self) -> &MemoryStore {
        &self.inner
    }

    async fn before(&self) -> Result<()> {
        sleep(self.delay).await;
        self.error.clone().map_or(Ok(()), Err)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl RsvpStore for Stub {
    async fn write_batch(&self, writes: &[Write]) -> Result<BatchReceipt> {
        self.before().await?;
        self.inner.write_batch(writes).await
    }

    async fn has_rsvped_batch(&self, pairs: &[Rsvp], level: &Consistency) -> Result<Vec<bool>> {
        self.before().await?;
        self.inner.has_rsvped_batch(pairs, level).await
    }

    async fn rsvp_counts(&self, events: &[EventId], level: &Consistency) -> Result<Vec<Count>> {
        self.before().await?;
        self.inner.rsvp_counts(events, level).await
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        self.before().await?;
        self.inner.attendees_page(event, request).await
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        self.before().await?;
        self.inner.events_of_page(user, request).await
    }

    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
        self.before().await?;
        self.inner.scan_page(request).await
    }

    async fn remove_event_step(&self, event: &EventId, limit: PageLimit) -> Result<RemovalStep> {
        self.before().await?;
        self.inner.remove_event_step(event, limit).await
    }

    async fn remove_user_step(&self, user: &UserId, limit: PageLimit) -> Result<RemovalStep> {
        self.before().await?;
        self.inner.remove_user_step(user, limit).await
    }

    async fn ready(&self) -> Result<()> {
        self.before().await?;
        self.inner.ready().await
    }
}
