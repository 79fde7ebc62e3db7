//! Stores that differ from another one in single calls.

use std::fmt;
use std::time::Duration;

use rsvp_core::{
    BatchReceipt, Count, EventId, Health, Label, LabelName, Maintenance, Page, PageLimit,
    PageRequest, ReadOptions, RemovalStep, Result, Rsvp, RsvpStore, UserId, Write, WriteOptions,
    async_trait,
};

/// A store with a test's own behaviour of single calls. All other calls go to an inner store.
///
/// [`Stubbed`] makes a store of it.
/// It is for tests only, because a real layer must not miss a new call of the contract.
///
/// ```
/// use rsvp_core::{Error, EventId, Operation, Result, RsvpStore, RsvpStoreExt, async_trait};
/// use rsvp_memory::MemoryStore;
/// use rsvp_testkit::{Stub, Stubbed};
///
/// /// A store that is never ready.
/// #[derive(Debug)]
/// struct NeverReady(MemoryStore);
///
/// #[async_trait]
/// impl Stub for NeverReady {
///     fn inner(&self) -> &dyn RsvpStore {
///         &self.0
///     }
///
///     async fn ready(&self) -> Result<()> {
///         Err(Error::overloaded(Operation::Ready))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let store = Stubbed(NeverReady(MemoryStore::new()));
/// assert!(store.ready().await.is_err());
/// assert_eq!(store.rsvp_count(&EventId::from(1)).await?.value, 0);
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait Stub: fmt::Debug + Send + Sync {
    /// Returns the inner store.
    fn inner(&self) -> &dyn RsvpStore;

    /// As [`RsvpStore::write_batch`].
    async fn write_batch(&self, writes: &[Write], options: &WriteOptions) -> Result<BatchReceipt> {
        self.inner().write_batch(writes, options).await
    }

    /// As [`RsvpStore::has_rsvped_batch`].
    async fn has_rsvped_batch(
        &self,
        pairs: &[Rsvp],
        options: &ReadOptions,
    ) -> Result<Vec<Result<bool>>> {
        self.inner().has_rsvped_batch(pairs, options).await
    }

    /// As [`RsvpStore::rsvp_count_batch`].
    async fn rsvp_count_batch(
        &self,
        events: &[EventId],
        options: &ReadOptions,
    ) -> Result<Vec<Result<Count>>> {
        self.inner().rsvp_count_batch(events, options).await
    }

    /// As [`RsvpStore::attendees_page`].
    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        self.inner().attendees_page(event, request).await
    }

    /// As [`RsvpStore::events_of_page`].
    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        self.inner().events_of_page(user, request).await
    }

    /// As [`RsvpStore::scan_page`].
    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
        self.inner().scan_page(request).await
    }

    /// As [`RsvpStore::remove_event_step`].
    async fn remove_event_step(
        &self,
        event: &EventId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        self.inner().remove_event_step(event, limit, options).await
    }

    /// As [`RsvpStore::remove_user_step`].
    async fn remove_user_step(
        &self,
        user: &UserId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        self.inner().remove_user_step(user, limit, options).await
    }

    /// As [`RsvpStore::label`].
    async fn label(&self, name: &LabelName, options: &ReadOptions) -> Result<Option<Label>> {
        self.inner().label(name, options).await
    }

    /// As [`RsvpStore::replace_label`].
    async fn replace_label(
        &self,
        name: &LabelName,
        expected: Option<&Label>,
        value: &Label,
        options: &WriteOptions,
    ) -> Result<Option<Label>> {
        self.inner().replace_label(name, expected, value, options).await
    }

    /// As [`RsvpStore::ready`].
    async fn ready(&self) -> Result<()> {
        self.inner().ready().await
    }

    /// As [`RsvpStore::close`].
    async fn close(&self) -> Result<()> {
        self.inner().close().await
    }

    /// As [`RsvpStore::settling_time`].
    fn settling_time(&self) -> Duration {
        self.inner().settling_time()
    }

    /// As [`RsvpStore::maintenance`].
    fn maintenance(&self) -> Option<&dyn Maintenance> {
        self.inner().maintenance()
    }
}

/// The store of a [`Stub`].
///
/// ```
/// use rsvp_core::RsvpStore;
/// use rsvp_memory::MemoryStore;
/// use rsvp_testkit::{Stub, Stubbed};
///
/// /// Changes nothing.
/// #[derive(Debug)]
/// struct Same(MemoryStore);
///
/// impl Stub for Same {
///     fn inner(&self) -> &dyn RsvpStore {
///         &self.0
///     }
/// }
///
/// fn store() -> impl RsvpStore {
///     Stubbed(Same(MemoryStore::new()))
/// }
/// ```
#[derive(Clone)]
pub struct Stubbed<T>(pub T);

impl<T: fmt::Debug> fmt::Debug for Stubbed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<T: Stub> RsvpStore for Stubbed<T> {
    async fn write_batch(&self, writes: &[Write], options: &WriteOptions) -> Result<BatchReceipt> {
        self.0.write_batch(writes, options).await
    }

    async fn has_rsvped_batch(
        &self,
        pairs: &[Rsvp],
        options: &ReadOptions,
    ) -> Result<Vec<Result<bool>>> {
        self.0.has_rsvped_batch(pairs, options).await
    }

    async fn rsvp_count_batch(
        &self,
        events: &[EventId],
        options: &ReadOptions,
    ) -> Result<Vec<Result<Count>>> {
        self.0.rsvp_count_batch(events, options).await
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        self.0.attendees_page(event, request).await
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        self.0.events_of_page(user, request).await
    }

    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
        self.0.scan_page(request).await
    }

    async fn remove_event_step(
        &self,
        event: &EventId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        self.0.remove_event_step(event, limit, options).await
    }

    async fn remove_user_step(
        &self,
        user: &UserId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        self.0.remove_user_step(user, limit, options).await
    }

    async fn label(&self, name: &LabelName, options: &ReadOptions) -> Result<Option<Label>> {
        self.0.label(name, options).await
    }

    async fn replace_label(
        &self,
        name: &LabelName,
        expected: Option<&Label>,
        value: &Label,
        options: &WriteOptions,
    ) -> Result<Option<Label>> {
        self.0.replace_label(name, expected, value, options).await
    }

    async fn ready(&self) -> Result<()> {
        self.0.ready().await
    }

    async fn health(&self) -> Health {
        // A stub has no `health` of its own, so its `ready` decides.
        Health::of_whole(self.0.ready().await)
    }

    async fn close(&self) -> Result<()> {
        self.0.close().await
    }

    fn settling_time(&self) -> Duration {
        self.0.settling_time()
    }

    fn maintenance(&self) -> Option<&dyn Maintenance> {
        self.0.maintenance()
    }
}
