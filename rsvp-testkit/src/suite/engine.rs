//! A store as the engine of other stores. It can be stopped, and can refuse entries.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rsvp_core::{
    BatchReceipt, Count, Error, EventId, Health, Label, LabelName, Maintenance, Operation, Page,
    PageLimit, PageRequest, ReadOptions, RemovalStep, Result, Rsvp, RsvpStore, UserId, Write,
    WriteOptions, async_trait,
};

use crate::fault_store::FaultStore;

/// The engine under a layer.
#[derive(Clone, Debug)]
pub(super) struct Engine(Arc<FaultStore<Arc<dyn RsvpStore>>>);

impl Engine {
    pub(super) fn new(store: impl RsvpStore + 'static) -> Self {
        Self(Arc::new(FaultStore::new(Arc::new(store), 0)))
    }

    pub(super) fn connect(&self) -> Arc<dyn RsvpStore> {
        Arc::new(Connection { engine: self.clone(), closed: AtomicBool::new(false) })
    }

    pub(super) fn stop(&self) {
        self.0.set_down(true);
    }

    pub(super) fn refuse(&self, event: EventId) {
        self.0.refuse_event(event);
    }
}

/// A connection to an engine. Closing it does not close the engine.
#[derive(Debug)]
struct Connection {
    engine: Engine,
    closed: AtomicBool,
}

impl Connection {
    fn open(&self, operation: Operation) -> Result<&dyn RsvpStore> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(Error::closed(operation));
        }
        Ok(&*self.engine.0)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl RsvpStore for Connection {
    async fn write_batch(&self, writes: &[Write], options: &WriteOptions) -> Result<BatchReceipt> {
        self.open(Operation::Write)?.write_batch(writes, options).await
    }

    async fn has_rsvped_batch(
        &self,
        pairs: &[Rsvp],
        options: &ReadOptions,
    ) -> Result<Vec<Result<bool>>> {
        self.open(Operation::HasRsvped)?.has_rsvped_batch(pairs, options).await
    }

    async fn rsvp_count_batch(
        &self,
        events: &[EventId],
        options: &ReadOptions,
    ) -> Result<Vec<Result<Count>>> {
        self.open(Operation::RsvpCount)?.rsvp_count_batch(events, options).await
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        self.open(Operation::Attendees)?.attendees_page(event, request).await
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        self.open(Operation::EventsOf)?.events_of_page(user, request).await
    }

    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
        self.open(Operation::Scan)?.scan_page(request).await
    }

    async fn remove_event_step(
        &self,
        event: &EventId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        self.open(Operation::RemoveEvent)?.remove_event_step(event, limit, options).await
    }

    async fn remove_user_step(
        &self,
        user: &UserId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        self.open(Operation::RemoveUser)?.remove_user_step(user, limit, options).await
    }

    async fn label(&self, name: &LabelName, options: &ReadOptions) -> Result<Option<Label>> {
        self.open(Operation::Label)?.label(name, options).await
    }

    async fn replace_label(
        &self,
        name: &LabelName,
        expected: Option<&Label>,
        value: &Label,
        options: &WriteOptions,
    ) -> Result<Option<Label>> {
        let open = self.open(Operation::ReplaceLabel)?;
        open.replace_label(name, expected, value, options).await
    }

    async fn ready(&self) -> Result<()> {
        self.open(Operation::Ready)?.ready().await
    }

    async fn health(&self) -> Health {
        Health::of_whole(self.ready().await)
    }

    async fn close(&self) -> Result<()> {
        // Only this connection closes. The layers of the case and its peer share the engine.
        self.closed.store(true, Ordering::SeqCst);
        Ok(())
    }

    fn settling_time(&self) -> Duration {
        self.engine.0.settling_time()
    }

    fn maintenance(&self) -> Option<&dyn Maintenance> {
        self.engine.0.maintenance()
    }
}
