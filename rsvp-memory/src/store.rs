//! The in-memory store.

use std::time::Duration;

use rsvp_core::backend::{Admission, LabelMap};
use rsvp_core::{
    BatchReceipt, Count, EventId, Health, Label, LabelName, Maintenance, Operation, Page,
    PageLimit, PageRequest, ReadOptions, RemovalStep, Result, Rsvp, RsvpStore, SessionToken,
    UserId, Write, WriteOptions, async_trait,
};

use crate::data::RsvpTable;

/// A store in the memory of this process.
///
/// An acknowledged write is visible to every reader at once.
/// All data is lost at the end of the process.
/// It is for tests, prototypes, and services that can rebuild their state.
/// Every consistency level is answered strongly.
/// No call waits, and a call that has begun is finished. A call is refused
///
/// - after [`close`](RsvpStore::close), as [`Error::Closed`](rsvp_core::Error::Closed),
/// - after its deadline, as [`Error::TimedOut`](rsvp_core::Error::TimedOut),
/// - for a wrong cursor, as [`Error::InvalidInput`](rsvp_core::Error::InvalidInput).
///
/// Lists begin with the newest entry, and list nothing twice.
///
/// A pair takes about 140 bytes with ids of up to 23 bytes.
/// Longer ids are in memory once for each user and each event.
///
/// ```
/// use rsvp_core::{EventId, Result, RsvpStoreExt, UserId};
/// use rsvp_memory::MemoryStore;
///
/// # async fn example() -> Result<()> {
/// let store = MemoryStore::new();
/// let receipt = store.rsvp(&UserId::new("ann")?, &EventId::new("fair")?).await?;
/// assert!(receipt.outcome.is_applied());
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(example())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct MemoryStore {
    table: RsvpTable,
    labels: LabelMap,
    admission: Admission,
}

impl MemoryStore {
    /// Makes an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the table with the same RSVPs, without async.
    /// Closing the store does not close the table.
    pub fn table(&self) -> &RsvpTable {
        &self.table
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl RsvpStore for MemoryStore {
    async fn write_batch(&self, writes: &[Write], options: &WriteOptions) -> Result<BatchReceipt> {
        self.admission.check(Operation::Write, options.deadline)?;
        let outcomes = writes.iter().map(|write| self.table.write(write));
        Ok(BatchReceipt::acknowledged(outcomes, SessionToken::new()))
    }

    async fn has_rsvped_batch(
        &self,
        pairs: &[Rsvp],
        options: &ReadOptions,
    ) -> Result<Vec<Result<bool>>> {
        self.admission.check(Operation::HasRsvped, options.deadline)?;
        Ok(pairs.iter().map(|pair| Ok(self.table.has_rsvped(&pair.user, &pair.event))).collect())
    }

    async fn rsvp_count_batch(
        &self,
        events: &[EventId],
        options: &ReadOptions,
    ) -> Result<Vec<Result<Count>>> {
        self.admission.check(Operation::RsvpCount, options.deadline)?;
        Ok(events.iter().map(|event| Ok(Count::fresh(self.table.rsvp_count(event)))).collect())
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        self.admission.check(Operation::Attendees, request.options.deadline)?;
        self.table.attendees(event, request.cursor.as_ref(), request.limit)
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        self.admission.check(Operation::EventsOf, request.options.deadline)?;
        self.table.events_of(user, request.cursor.as_ref(), request.limit)
    }

    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
        self.admission.check(Operation::Scan, request.options.deadline)?;
        self.table.scan(request.cursor.as_ref(), request.limit)
    }

    async fn remove_event_step(
        &self,
        event: &EventId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        self.admission.check(Operation::RemoveEvent, options.deadline)?;
        Ok(self.table.remove_event_step(event, limit))
    }

    async fn remove_user_step(
        &self,
        user: &UserId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        self.admission.check(Operation::RemoveUser, options.deadline)?;
        Ok(self.table.remove_user_step(user, limit))
    }

    async fn label(&self, name: &LabelName, options: &ReadOptions) -> Result<Option<Label>> {
        self.admission.check(Operation::Label, options.deadline)?;
        Ok(self.labels.get(name))
    }

    async fn replace_label(
        &self,
        name: &LabelName,
        expected: Option<&Label>,
        value: &Label,
        options: &WriteOptions,
    ) -> Result<Option<Label>> {
        self.admission.check(Operation::ReplaceLabel, options.deadline)?;
        Ok(self.labels.replace(name, expected, value))
    }

    async fn ready(&self) -> Result<()> {
        self.admission.check(Operation::Ready, None)
    }

    async fn health(&self) -> Health {
        Health::of_whole(self.ready().await)
    }

    async fn close(&self) -> Result<()> {
        self.admission.close();
        Ok(())
    }

    /// No write is in flight after its call has returned or was dropped.
    fn settling_time(&self) -> Duration {
        Duration::ZERO
    }

    /// The store derives nothing, because both directions of a pair change together.
    fn maintenance(&self) -> Option<&dyn Maintenance> {
        None
    }
}
