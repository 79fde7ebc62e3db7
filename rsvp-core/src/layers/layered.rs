//! Custom layers.

use std::borrow::Cow;
use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use super::call::{
    AttendeesPage, Call, EventsOfPage, HasRsvpedBatch, ReadLabel, Ready, RemoveEventStep,
    RemoveUserStep, ReplaceLabel, RsvpCountBatch, ScanPage, WriteBatch,
};
use crate::{
    BatchReceipt, Count, EventId, Health, Label, LabelName, Maintenance, Page, PageLimit,
    PageRequest, ReadOptions, RemovalStep, Result, Rsvp, RsvpStore, UserId, Write, WriteOptions,
};

/// A layer around every call of a store (middleware).
///
/// [`Layered`] makes a store of a layer and a store.
/// A layer can inspect the call, change it, run it any number of times, and change the answer.
///
/// ```
/// use rsvp_core::layers::{Call, Layer, LayerExt};
/// use rsvp_core::{Error, Operation, Result, RsvpStore};
///
/// /// Refuses every write.
/// #[derive(Debug, thiserror::Error)]
/// #[error("the store is read-only here")]
/// struct ReadOnly;
///
/// impl Layer for ReadOnly {
///     async fn call<C: Call, S: RsvpStore>(&self, call: C, store: &S) -> Result<C::Answer> {
///         if call.operation().is_write() {
///             return Err(Error::refused(call.operation(), ReadOnly));
///         }
///         call.run(store).await
///     }
/// }
///
/// fn read_only(store: impl RsvpStore) -> impl RsvpStore {
///     store.with_layer(ReadOnly)
/// }
/// ```
///
/// The documentation of a layer states which rules of the contract it preserves
/// and which it weakens. Its tests run the conformance suite.
pub trait Layer: Debug + Send + Sync {
    /// Runs one call on the inner store.
    ///
    /// # Errors
    ///
    /// The error of the call, or the layer's own.
    fn call<C: Call, S: RsvpStore>(
        &self,
        call: C,
        store: &S,
    ) -> impl Future<Output = Result<C::Answer>> + Send;

    /// Closes the layer and the inner store. Defaults to closing the store.
    /// A layer with a queue finishes the queued calls first.
    ///
    /// # Errors
    ///
    /// The error of the store.
    fn close<S: RsvpStore>(&self, store: &S) -> impl Future<Output = Result<()>> + Send {
        store.close()
    }

    /// Returns the health of the parts of the store. Defaults to that of the inner store.
    fn health<S: RsvpStore>(&self, store: &S) -> impl Future<Output = Health> + Send {
        store.health()
    }
}

/// A store with a [`Layer`] around it.
///
/// ```
/// use rsvp_core::layers::{Call, Layer, Layered};
/// use rsvp_core::{Result, RsvpStore};
/// use rsvp_memory::MemoryStore;
///
/// /// Passes every call on.
/// #[derive(Debug)]
/// struct Transparent;
///
/// impl Layer for Transparent {
///     async fn call<C: Call, S: RsvpStore>(&self, call: C, store: &S) -> Result<C::Answer> {
///         call.run(store).await
///     }
/// }
///
/// let store = Layered::around(MemoryStore::new(), Transparent);
/// let _: &MemoryStore = store.get_ref();
/// assert_eq!(format!("{:?}", store.layer()), "Transparent");
/// ```
#[derive(Clone, Debug)]
pub struct Layered<L, S> {
    layer: L,
    store: S,
}

impl<L, S> Layered<L, S> {
    /// Puts a layer around a store.
    pub fn around(store: S, layer: L) -> Self {
        Self { layer, store }
    }

    /// Returns the layer.
    pub fn layer(&self) -> &L {
        &self.layer
    }

    /// Returns the inner store.
    pub fn get_ref(&self) -> &S {
        &self.store
    }

    /// Returns the inner store, without the layer.
    pub fn into_inner(self) -> S {
        self.store
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<L: Layer, S: RsvpStore> RsvpStore for Layered<L, S> {
    async fn write_batch(&self, writes: &[Write], options: &WriteOptions) -> Result<BatchReceipt> {
        let (writes, options) = (Cow::Borrowed(writes), Cow::Borrowed(options));
        self.layer.call(WriteBatch { writes, options }, &self.store).await
    }

    async fn has_rsvped_batch(
        &self,
        pairs: &[Rsvp],
        options: &ReadOptions,
    ) -> Result<Vec<Result<bool>>> {
        let (entries, options) = (Cow::Borrowed(pairs), Cow::Borrowed(options));
        self.layer.call(HasRsvpedBatch { entries, options }, &self.store).await
    }

    async fn rsvp_count_batch(
        &self,
        events: &[EventId],
        options: &ReadOptions,
    ) -> Result<Vec<Result<Count>>> {
        let (entries, options) = (Cow::Borrowed(events), Cow::Borrowed(options));
        self.layer.call(RsvpCountBatch { entries, options }, &self.store).await
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        let request = Cow::Borrowed(request);
        self.layer.call(AttendeesPage { event, request }, &self.store).await
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        let request = Cow::Borrowed(request);
        self.layer.call(EventsOfPage { user, request }, &self.store).await
    }

    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
        let request = Cow::Borrowed(request);
        self.layer.call(ScanPage { request }, &self.store).await
    }

    async fn remove_event_step(
        &self,
        event: &EventId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        let options = Cow::Borrowed(options);
        self.layer.call(RemoveEventStep { event, limit, options }, &self.store).await
    }

    async fn remove_user_step(
        &self,
        user: &UserId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        let options = Cow::Borrowed(options);
        self.layer.call(RemoveUserStep { user, limit, options }, &self.store).await
    }

    async fn label(&self, name: &LabelName, options: &ReadOptions) -> Result<Option<Label>> {
        let options = Cow::Borrowed(options);
        self.layer.call(ReadLabel { name, options }, &self.store).await
    }

    async fn replace_label(
        &self,
        name: &LabelName,
        expected: Option<&Label>,
        value: &Label,
        options: &WriteOptions,
    ) -> Result<Option<Label>> {
        let options = Cow::Borrowed(options);
        self.layer.call(ReplaceLabel { name, expected, value, options }, &self.store).await
    }

    async fn ready(&self) -> Result<()> {
        self.layer.call(Ready, &self.store).await
    }

    async fn health(&self) -> Health {
        self.layer.health(&self.store).await
    }

    async fn close(&self) -> Result<()> {
        self.layer.close(&self.store).await
    }

    fn settling_time(&self) -> Duration {
        self.store.settling_time()
    }

    fn maintenance(&self) -> Option<&dyn Maintenance> {
        self.store.maintenance()
    }
}
