//! Memory stores with something of a test's own around writes and counts.

use std::fmt::Debug;
use std::ops::Deref;

use rsvp_core::{
    BatchReceipt, Consistency, Count, EventId, Health, Label, LabelName, Maintenance, Page,
    PageLimit, PageRequest, ReadOptions, RemovalStep, Result, Rsvp, RsvpStore, UserId, Write,
    WriteOptions, async_trait,
};
use rsvp_memory::MemoryStore;

/// The answer to a batch of counts.
pub(crate) type Counted = Result<Vec<Result<Count>>>;

/// What a [`Hooked`] store does around the calls of a memory store.
pub(crate) trait Hook: Debug + Send + Sync {
    fn store(&self) -> &MemoryStore;

    /// Around a batch of writes, or around a step of a removal, which has none.
    fn write<T: Send>(
        &self,
        _writes: &[Write],
        call: impl Future<Output = Result<T>> + Send,
    ) -> impl Future<Output = Result<T>> + Send {
        call
    }

    /// Around a batch of writes, for a hook that looks at its options.
    fn write_with<T: Send>(
        &self,
        writes: &[Write],
        _options: &WriteOptions,
        call: impl Future<Output = Result<T>> + Send,
    ) -> impl Future<Output = Result<T>> + Send {
        self.write(writes, call)
    }

    fn count(
        &self,
        _events: &[EventId],
        _consistency: &Consistency,
        call: impl Future<Output = Counted> + Send,
    ) -> impl Future<Output = Counted> + Send {
        call
    }

    /// After a page of the events of a user.
    fn listed(&self, _user: &UserId, _events: &[EventId]) {}

    fn maintenance(&self) -> Option<&dyn Maintenance> {
        self.store().maintenance()
    }
}

/// A memory store with a [`Hook`].
#[derive(Debug, Default)]
pub(crate) struct Hooked<H>(pub(crate) H);

impl<H> Deref for Hooked<H> {
    type Target = H;

    fn deref(&self) -> &H {
        &self.0
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<H: Hook> RsvpStore for Hooked<H> {
    async fn write_batch(&self, writes: &[Write], options: &WriteOptions) -> Result<BatchReceipt> {
        let call = self.store().write_batch(writes, options);
        self.write_with(writes, options, call).await
    }

    async fn has_rsvped_batch(
        &self,
        pairs: &[Rsvp],
        options: &ReadOptions,
    ) -> Result<Vec<Result<bool>>> {
        self.store().has_rsvped_batch(pairs, options).await
    }

    async fn rsvp_count_batch(
        &self,
        events: &[EventId],
        options: &ReadOptions,
    ) -> Result<Vec<Result<Count>>> {
        let call = self.store().rsvp_count_batch(events, options);
        self.count(events, &options.consistency, call).await
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        self.store().attendees_page(event, request).await
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        let page = self.store().events_of_page(user, request).await?;
        self.listed(user, &page.items);
        Ok(page)
    }

    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
        self.store().scan_page(request).await
    }

    async fn remove_event_step(
        &self,
        event: &EventId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        self.write(&[], self.store().remove_event_step(event, limit, options)).await
    }

    async fn remove_user_step(
        &self,
        user: &UserId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        self.write(&[], self.store().remove_user_step(user, limit, options)).await
    }

    async fn label(&self, name: &LabelName, options: &ReadOptions) -> Result<Option<Label>> {
        self.store().label(name, options).await
    }

    async fn replace_label(
        &self,
        name: &LabelName,
        expected: Option<&Label>,
        value: &Label,
        options: &WriteOptions,
    ) -> Result<Option<Label>> {
        self.store().replace_label(name, expected, value, options).await
    }

    async fn ready(&self) -> Result<()> {
        self.store().ready().await
    }

    async fn health(&self) -> Health {
        self.store().health().await
    }

    async fn close(&self) -> Result<()> {
        self.store().close().await
    }

    fn settling_time(&self) -> std::time::Duration {
        std::time::Duration::from_secs(2)
    }

    fn maintenance(&self) -> Option<&dyn Maintenance> {
        self.0.maintenance()
    }
}
