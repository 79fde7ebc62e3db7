//! The table as a store.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rsvp_core::{
    BatchReceipt, Count, Deadline, Error, EventId, Label, LabelName, Maintenance, Operation, Page,
    PageLimit, PageRequest, ReadOptions, RemovalStep, Result, Rsvp, RsvpStore, SessionToken,
    UserId, Write, WriteOptions, async_trait,
};

use crate::data::{Labels, RsvpTable};

/// Keeps RSVPs in the memory of this process, until it ends.
///
/// An acknowledged write is visible to every reader at once and survives nothing: for tests,
/// prototypes, and services that can rebuild their state. Every consistency level is answered
/// strongly. No call waits, and a call that has begun is finished. A call is refused
///
/// - after [`close`](RsvpStore::close), as [`Error::Closed`](rsvp_core::Error::Closed),
/// - after its deadline, as [`Error::TimedOut`](rsvp_core::Error::TimedOut),
/// - for a wrong cursor, as [`Error::InvalidInput`](rsvp_core::Error::InvalidInput).
///
/// A list may repeat an entry if there are cancels while it is read.
///
/// A pair costs about 145 bytes with ids of up to 23 bytes; longer ids are shared by both
/// directions.
#[derive(Debug, Default)]
pub struct MemoryStore {
    table: RsvpTable,
    labels: Labels,
    closed: AtomicBool,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same RSVPs without async. Closing the store does not close the table.
    pub fn table(&self) -> &RsvpTable {
        &self.table
    }

    /// Refuses a call to a closed store, and one whose answer nobody can use any more.
    fn admit(&self, operation: Operation, deadline: Option<Deadline>) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::closed(operation));
        }
        match deadline {
            Some(deadline) if deadline.has_passed() => Err(Error::too_late(operation)),
            _ => Ok(()),
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl RsvpStore for MemoryStore {
    async fn write_batch(&self, writes: &[Write], options: &WriteOptions) -> Result<BatchReceipt> {
        self.admit(Operation::Write, options.deadline)?;
        let outcomes = writes.iter().map(|write| self.table.write(write));
        Ok(BatchReceipt::acknowledged(outcomes, SessionToken::new()))
    }

    async fn has_rsvped_batch(
        &self,
        pairs: &[Rsvp],
        options: &ReadOptions,
    ) -> Result<Vec<Result<bool>>> {
        self.admit(Operation::HasRsvped, options.deadline)?;
        Ok(pairs.iter().map(|pair| Ok(self.table.has_rsvped(&pair.user, &pair.event))).collect())
    }

    async fn rsvp_count_batch(
        &self,
        events: &[EventId],
        options: &ReadOptions,
    ) -> Result<Vec<Result<Count>>> {
        self.admit(Operation::RsvpCount, options.deadline)?;
        Ok(events.iter().map(|event| Ok(Count::fresh(self.table.rsvp_count(event)))).collect())
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        self.admit(Operation::Attendees, request.options.deadline)?;
        self.table.attendees(event, request.cursor.as_ref(), request.limit)
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        self.admit(Operation::EventsOf, request.options.deadline)?;
        self.table.events_of(user, request.cursor.as_ref(), request.limit)
    }

    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
        self.admit(Operation::Scan, request.options.deadline)?;
        self.table.scan(request.cursor.as_ref(), request.limit)
    }

    async fn remove_event_step(
        &self,
        event: &EventId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        self.admit(Operation::RemoveEvent, options.deadline)?;
        Ok(self.table.remove_event_step(event, limit))
    }

    async fn remove_user_step(
        &self,
        user: &UserId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        self.admit(Operation::RemoveUser, options.deadline)?;
        Ok(self.table.remove_user_step(user, limit))
    }

    async fn label(&self, name: &LabelName, options: &ReadOptions) -> Result<Option<Label>> {
        self.admit(Operation::Label, options.deadline)?;
        Ok(self.labels.get(name))
    }

    async fn replace_label(
        &self,
        name: &LabelName,
        expected: Option<&Label>,
        value: &Label,
        options: &WriteOptions,
    ) -> Result<Option<Label>> {
        self.admit(Operation::ReplaceLabel, options.deadline)?;
        Ok(self.labels.replace(name, expected, value))
    }

    async fn ready(&self) -> Result<()> {
        self.admit(Operation::Ready, None)
    }

    async fn close(&self) -> Result<()> {
        self.closed.store(true, Ordering::Release);
        Ok(())
    }

    /// No write is ever under way when its call has returned or was dropped.
    fn settling_time(&self) -> Duration {
        Duration::ZERO
    }

    /// Nothing is derived that could differ: both directions of a pair change together.
    fn maintenance(&self) -> Option<&dyn Maintenance> {
        None
    }
}
