//! The trait of backends.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use crate::{
    BatchReceipt, Count, EventId, Health, Label, LabelName, Maintenance, Page, PageLimit,
    PageRequest, ReadOptions, RemovalStep, Result, Rsvp, UserId, Write, WriteOptions,
};

/// A store of RSVPs: a backend, or a layer around one.
///
/// Backends implement this small object-safe trait.
/// Hosts call the verbs of [`RsvpStoreExt`](crate::RsvpStoreExt) on it.
///
/// ```
/// use std::sync::Arc;
/// use rsvp_core::{EventId, Result, RsvpStore, RsvpStoreExt, UserId};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// // A host keeps any store behind one type.
/// let store: Arc<dyn RsvpStore> = Arc::new(rsvp_memory::MemoryStore::new());
/// store.rsvp(&UserId::from(1), &EventId::from(2)).await?;
/// assert!(store.ready().await.is_ok());
/// # Ok(())
/// # }
/// ```
///
/// # Behavior
///
/// An RSVP is a pair (user, event). It exists or it does not, and every count is derived from that.
/// The following rules hold for every method.
/// `rsvp-testkit` checks them for any store in one line.
///
/// - **Batches are the primitive.** A call of up to 10,000 entries costs a fixed number
///   of round trips. A longer call is divided into bounded pieces.
///   A batch without entries is answered too.
///   Answers come in the order of the entries, repeated entries included.
/// - **Every entry has its own answer.** A failed shard, node or entry fails alone.
///   The outer error is for the whole call, and then no entry was answered.
///   Writes of one pair in one batch succeed or fail together.
/// - **A write is settled when it returns.** Its effect does not change after that.
///   The exception is an error with a [pending](crate::Effect::Pending) effect,
///   which names the latest moment of a change.
/// - **Repeating is safe.** The same call may be repeated after an error.
///   The final state is right, and no count moves twice.
///   [`Error::effect`](crate::Error::effect) tells whether the failed attempt took effect.
/// - **Deadlines are kept.** A call does not begin
///   after its [deadline](crate::ReadOptions::deadline),
///   and it returns by its deadline or soon after.
/// - **Dropping a future is safe.** The write may or may not take effect until its deadline,
///   or until the deadline of the batch that a layer has put it into.
///   Nothing leaks, and no answer reaches another caller.
/// - **Reads are as fresh as requested**, or fresher, see [`Consistency`](crate::Consistency).
/// - **A cursor belongs to one listing of one subject.** Any other use is refused.
/// - **Every wait is bounded**, by the backend or by a documented layer around it.
///
/// # Implementing it
///
/// Only [`health`](Self::health), [`maintenance`](Self::maintenance)
/// and [`settling_time`](Self::settling_time) have defaults.
/// So a layer that forgets to forward a call does not compile.
/// Map the driver's errors by code, never by message.
/// A layer with the same behaviour for all calls implements [`Layer`](crate::layers::Layer)
/// instead.
#[async_trait]
pub trait RsvpStore: Debug + Send + Sync {
    /// Applies writes as if one after another.
    /// Each write has its own result, and a pair may occur several times.
    ///
    /// # Behavior
    ///
    /// - The results come in the order of the writes.
    /// - The count of an event moves by exactly its [`Applied`](crate::Outcome::Applied) results.
    /// - After the call has returned, reads at [`Consistency::Strong`](crate::Consistency::Strong)
    ///   see every acknowledged write of the batch.
    /// - A batch is not a transaction.
    ///   A concurrent read may see a part of it, and a failed entry does not undo the others.
    ///
    /// # Errors
    ///
    /// Any but [`Error::InvalidInput`](crate::Error::InvalidInput).
    async fn write_batch(&self, writes: &[Write], options: &WriteOptions) -> Result<BatchReceipt>;

    /// Returns for each pair whether it exists.
    ///
    /// # Errors
    ///
    /// Any but [`Error::InvalidInput`](crate::Error::InvalidInput).
    async fn has_rsvped_batch(
        &self,
        pairs: &[Rsvp],
        options: &ReadOptions,
    ) -> Result<Vec<Result<bool>>>;

    /// Returns for each event the number of its RSVPs. An unknown event has none.
    ///
    /// # Behavior
    ///
    /// - The cost of an event does not depend on the number of its attendees.
    /// - At [`Consistency::Bounded`](crate::Consistency::Bounded) no [`Count::age`] exceeds the
    ///   bound.
    /// - An incomplete count is an error, never a lower number.
    ///
    /// # Errors
    ///
    /// Any but [`Error::InvalidInput`](crate::Error::InvalidInput).
    async fn rsvp_count_batch(
        &self,
        events: &[EventId],
        options: &ReadOptions,
    ) -> Result<Vec<Result<Count>>>;

    /// Reads a page of the users with an RSVP to `event`.
    ///
    /// # Behavior
    ///
    /// All three listings have these rules:
    ///
    /// - An entry that exists during the whole listing appears at least once.
    ///   An entry that is added or removed meanwhile may appear or not.
    ///   Without concurrent writes every entry appears exactly once,
    ///   unless the backend documents otherwise.
    /// - The order is the backend's own.
    /// - A page has at most [`PageRequest::limit`] items.
    ///   A page with fewer items, or with none, need not be the last.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) with the field `cursor` for a cursor
    /// of another listing or subject, otherwise any.
    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>>;

    /// Reads a page of the events with an RSVP of `user`,
    /// as [`attendees_page`](Self::attendees_page).
    ///
    /// # Errors
    ///
    /// As [`attendees_page`](Self::attendees_page).
    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>>;

    /// Reads a page of all RSVPs, as [`attendees_page`](Self::attendees_page).
    ///
    /// # Errors
    ///
    /// As [`attendees_page`](Self::attendees_page).
    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>>;

    /// Removes up to `limit` RSVPs of `event`, in both directions.
    ///
    /// # Behavior
    ///
    /// - After a step with [no more](RemovalStep::more),
    ///   nothing is left of the event as it was when the first step began: no RSVP, no count,
    ///   no list entry, in either direction.
    /// - A step with more to do has removed something, or a later step will.
    ///   Steps on an event without new writes come to an end.
    /// - A step may be repeated, and may be stopped at any point, even by a crash.
    ///   A repeated step counts only the RSVPs that it has removed itself.
    ///   A layer that repeats a step after an attempt
    ///   of unknown effect sets [`RemovalStep::repeated`].
    /// - RSVPs added meanwhile may stay or go.
    ///
    /// # Errors
    ///
    /// Any but [`Error::InvalidInput`](crate::Error::InvalidInput).
    async fn remove_event_step(
        &self,
        event: &EventId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep>;

    /// Removes up to `limit` RSVPs of `user`, as
    /// [`remove_event_step`](Self::remove_event_step).
    ///
    /// # Errors
    ///
    /// As [`remove_event_step`](Self::remove_event_step).
    async fn remove_user_step(
        &self,
        user: &UserId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep>;

    /// Reads a label, a small fact of the store about itself.
    /// `None` if the store has no label of this name.
    ///
    /// # Errors
    ///
    /// Any but [`Error::InvalidInput`](crate::Error::InvalidInput).
    async fn label(&self, name: &LabelName, options: &ReadOptions) -> Result<Option<Label>>;

    /// Sets a label if its value is `expected`, atomically, and returns the value from
    /// before the call.
    ///
    /// # Behavior
    ///
    /// - The label was replaced if and only if the returned value equals `expected`.
    ///   `None` expects no label of this name.
    /// - Nothing else changes or removes a label, not even the removal of events and users.
    ///
    /// # Errors
    ///
    /// Any but [`Error::InvalidInput`](crate::Error::InvalidInput).
    async fn replace_label(
        &self,
        name: &LabelName,
        expected: Option<&Label>,
        value: &Label,
        options: &WriteOptions,
    ) -> Result<Option<Label>>;

    /// Checks that the store accepts writes now.
    /// A readable store without writes, such as a demoted primary, is not ready.
    ///
    /// It answers whether an instance of a service should receive traffic.
    /// A store of several parts, such as shards, is ready
    /// if as many parts are ready as its [`ReadyPolicy`](crate::ReadyPolicy) demands.
    /// [`health`](Self::health) names the failed parts.
    ///
    /// # Errors
    ///
    /// The error of a write.
    async fn ready(&self) -> Result<()>;

    /// Returns for each part of the store whether it accepts writes now.
    /// Defaults to a single part with the result of [`ready`](Self::ready).
    async fn health(&self) -> Health {
        Health::of_whole(self.ready().await)
    }

    /// Closes the store.
    /// Later calls fail with [`Error::Closed`](crate::Error::Closed), queued calls are finished,
    /// and connections are closed. Closing twice is safe.
    ///
    /// It takes as long as the calls in flight.
    /// Their deadlines and the store's timeouts bound it.
    ///
    /// # Errors
    ///
    /// The error of the engine, if it does not release its connections.
    async fn close(&self) -> Result<()>;

    /// Returns the longest time after a write's deadline during
    /// which the write may stay [pending](crate::Effect::Pending). Defaults to 10 s.
    ///
    /// A layer may give up on a call before the store does.
    /// It then tells its caller to wait this long.
    fn settling_time(&self) -> Duration {
        Duration::from_secs(10)
    }

    /// Returns the maintenance of a store with derived data.
    /// Defaults to `None`, for a store without anything to audit.
    fn maintenance(&self) -> Option<&dyn Maintenance> {
        None
    }
}
