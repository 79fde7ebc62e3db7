//! A backend that keeps nothing.

use std::time::Duration;

use rsvp_core::{
    BatchReceipt, Count, EventId, Label, LabelName, Outcome, Page, PageLimit, PageRequest,
    ReadOptions, RemovalStep, Result, Rsvp, RsvpStore, SessionToken, UserId, Write, WriteOptions,
    async_trait,
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
    async fn write_batch(&self, writes: &[Write], _: &WriteOptions) -> Result<BatchReceipt> {
        let entries = u32::try_from(writes.len()).unwrap_or(u32::MAX);
        let time = self.batch + self.entry.saturating_mul(entries);
        if !time.is_zero() {
            sleep(time).await;
        }
        let outcomes = writes.iter().map(|_| Outcome::Applied);
        Ok(BatchReceipt::acknowledged(outcomes, SessionToken::new()))
    }

    async fn has_rsvped_batch(&self, pairs: &[Rsvp], _: &ReadOptions) -> Result<Vec<Result<bool>>> {
        Ok(pairs.iter().map(|_| Ok(true)).collect())
    }

    async fn rsvp_count_batch(
        &self,
        events: &[EventId],
        _: &ReadOptions,
    ) -> Result<Vec<Result<Count>>> {
        Ok(events.iter().map(|_| Ok(Count::fresh(1))).collect())
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

    async fn remove_event_step(
        &self,
        _: &EventId,
        _: PageLimit,
        _: &WriteOptions,
    ) -> Result<RemovalStep> {
        Ok(RemovalStep::default())
    }

    async fn remove_user_step(
        &self,
        _: &UserId,
        _: PageLimit,
        _: &WriteOptions,
    ) -> Result<RemovalStep> {
        Ok(RemovalStep::default())
    }

    async fn label(&self, _: &LabelName, _: &ReadOptions) -> Result<Option<Label>> {
        Ok(None)
    }

    async fn replace_label(
        &self,
        _: &LabelName,
        _: Option<&Label>,
        _: &Label,
        _: &WriteOptions,
    ) -> Result<Option<Label>> {
        Ok(None)
    }

    async fn ready(&self) -> Result<()> {
        Ok(())
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}
