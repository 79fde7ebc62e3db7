//! The table as a store.

use rsvp_core::{
    BatchReceipt, Consistency, Count, EventId, Page, PageLimit, PageRequest, RemovalStep, Result,
    Rsvp, RsvpStore, SessionToken, UserId, Write, async_trait,
};

use crate::data::RsvpTable;

/// Keeps RSVPs in the memory of this process, until it ends.
///
/// An acknowledged write is visible to every reader at once and survives nothing: for tests,
/// prototypes, and services that can rebuild their state. No call waits, fails or is cancelled
/// half-way (except [`Error::InvalidInput`](rsvp_core::Error::InvalidInput) for a wrong cursor),
/// and every consistency level is answered strongly.
///
/// A list may repeat an entry if there are cancels while it is read.
///
/// A pair costs about 145 bytes with ids of up to 23 bytes; longer ids are shared by both
/// directions.
#[derive(Debug, Default)]
pub struct MemoryStore {
    table: RsvpTable,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same RSVPs without async.
    pub fn table(&self) -> &RsvpTable {
        &self.table
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl RsvpStore for MemoryStore {
    async fn write_batch(&self, writes: &[Write]) -> Result<BatchReceipt> {
        let outcomes = writes.iter().map(|write| self.table.write(write)).collect();
        Ok(BatchReceipt { outcomes, token: SessionToken::new() })
    }

    async fn has_rsvped_batch(&self, pairs: &[Rsvp], _: &Consistency) -> Result<Vec<bool>> {
        Ok(pairs.iter().map(|pair| self.table.has_rsvped(&pair.user, &pair.event)).collect())
    }

    async fn rsvp_counts(&self, events: &[EventId], _: &Consistency) -> Result<Vec<Count>> {
        Ok(events.iter().map(|event| Count::fresh(self.table.rsvp_count(event))).collect())
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        self.table.attendees(event, request.cursor.as_ref(), request.limit)
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        self.table.events_of(user, request.cursor.as_ref(), request.limit)
    }

    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
        self.table.scan(request.cursor.as_ref(), request.limit)
    }

    async fn remove_event_step(&self, event: &EventId, limit: PageLimit) -> Result<RemovalStep> {
        Ok(self.table.remove_event_step(event, limit))
    }

    async fn remove_user_step(&self, user: &UserId, limit: PageLimit) -> Result<RemovalStep> {
        Ok(self.table.remove_user_step(user, limit))
    }

    async fn ready(&self) -> Result<()> {
        Ok(())
    }
}
