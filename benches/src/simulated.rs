//! A backend that keeps nothing.

use std::time::Duration;

use rsvp_core::{
    BatchReceipt, Consistency, Count, EventId, Outcome, Page, PageLimit, PageRequest, RemovalStep,
    Result, Rsvp, RsvpStore, SessionToken, UserId, Write, async_trait,
};
use tokio::time::sleep;

/// Answers every call, and keeps nothing: to see what is around it.
#[derive(Clone, Copy, Debug)]
pub struct Simulated {
    batch: Duration,
    entry: Duration,
}

impl Simulated {
    /// Answers at once.
    pub fn at_once() -> Self {
        Self::taking(Duration::ZERO, Duration::ZERO)
    }

    /// Takes its time for each batch of writes and for each of its entries, and no processor.
    pub fn taking(batch: Duration, entry: Duration) -> Self {
        Self { batch, entry }
    }
}

#[async_trait]
impl RsvpStore for Simulated {
    async fn write_batch(&self, writes: &[Write]) -> Result<BatchReceipt> {
        let entries = u32::try_from(writes.len()).unwrap_or(u32::MAX);
        let time = self.batch + self.entry.saturating_mul(entries);
        if !time.is_zero() {
            sleep(time).await;
        }
        let outcomes = vec![Outcome::Applied; writes.len()];
        Ok(BatchReceipt { outcomes, token: SessionToken::new() })
    }

    async fn has_rsvped_batch(&self, pairs: &[Rsvp], _: &Consistency) -> Result<Vec<bool>> {
        Ok(vec![true; pairs.len()])
    }

    async fn rsvp_counts(&self, events: &[EventId], _: &Consistency) -> Result<Vec<Count>> {
        Ok(vec![Count::fresh(1); events.len()])
    }

    async fn attendees_page(&self, _: &EventId, _: &PageRequest) -> Result<Page<UserId>> {
        Ok(Page::last(Vec::new()))
    }

    async fn events_of_page(&self, _: &UserId, _: &PageRequest) -> Result<Page<EventId>> {
        Ok(Page::last(Vec::new()))
    }

    async fn scan_page(&self, _: &PageRequest) -> Result<Page<Rsvp>> {
        Ok(Page::last(Vec::new()))
    }

    async fn remove_event_step(&self, _: &EventId, _: PageLimit) -> Result<RemovalStep> {
        Ok(RemovalStep::default())
    }

    async fn remove_user_step(&self, _: &UserId, _: PageLimit) -> Result<RemovalStep> {
        Ok(RemovalStep::default())
    }

    async fn ready(&self) -> Result<()> {
        Ok(())
    }
}
