//! The trait that a backend implements.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use crate::{
    BatchReceipt, Count, EventId, Health, Label, LabelName, Maintenance, Page, PageLimit,
    PageRequest, ReadOptions, RemovalStep, Result, Rsvp, UserId, Write, WriteOptions,
};

/// A place that keeps RSVPs: a backend, or a layer around one.
///
/// This is the small object-safe trait of those who *implement* a store. Those who *use* one call
/// the verbs of [`RsvpStoreExt`](crate::RsvpStoreExt), which every store has for free.
///
/// # Behavior
///
/// An RSVP is a pair (user, event) that exists or does not. Every count is derived from that. The
/// following holds for every method, and `rsvp-testkit` checks it for any store in one line.
///
/// - **Batches are the primitive.** A call costs a number of round trips that does not depend on
///   the number of its entries, up to 10,000, and grows in bounded pieces beyond. A batch without entries is answered as well.
///   Answers come in the order of the entries, repeats included.
/// - **Every entry has its own answer.** A shard, a node or an entry that fails takes nobody else
///   down. The outer error is for the whole call: nothing of it was answered. Writes of one pair in
///   one batch succeed or fail together.
/// - **A write is settled when it returns.** Whatever it did not do by then it never does, unless
///   its error says that its effect is [pending](crate::Effect::Pending), and until when.
/// - **Repeating is safe.** After an error the same call may be repeated: the state ends right and
///   no count moves twice. [`Error::effect`](crate::Error::effect) tells whether the failed attempt
///   took effect.
/// - **Deadlines are kept.** A call whose [deadline](crate::ReadOptions::deadline) has passed is not
///   begun, and a call returns by its deadline or soon after.
/// - **Dropping a future is safe.** The write may or may not take effect, until its deadline, or
///   that of the batch which a layer has made it part of. Nothing leaks, and no answer reaches
///   another caller.
/// - **Reads are as fresh as asked**, or fresher: see [`Consistency`](crate::Consistency).
/// - **Cursors belong to one listing of one subject.** Any other use is refused.
/// - Every wait is bounded, by the backend or by a layer around it that says so.
///
/// # Implementing it
///
/// Only [`maintenance`](Self::maintenance) and [`settling_time`](Self::settling_time) have defaults,
/// so a layer that forgets to forward a call does not compile. Map the driver's errors by code, never by message. A layer that treats all
/// calls alike implements [`Layer`](crate::layers::Layer) instead.
#[async_trait]
pub trait RsvpStore: Debug + Send + Sync {
    /// Applies writes as if one after another, each with its own result, duplicates of a pair
    /// included.
    ///
    /// # Behavior
    ///
    /// - The results come in the order of the writes.
    /// - The count of an event moves by exactly the writes that answer
    ///   [`Applied`](crate::Outcome::Applied).
    /// - Once it returns, reads at [`Consistency::Strong`](crate::Consistency::Strong) see every
    ///   acknowledged write of it.
    /// - A batch is not a transaction. A concurrent read may see a part of it, and other entries
    ///   hold when one has failed.
    ///
    /// # Errors
    ///
    /// Any but [`Error::InvalidInput`](crate::Error::InvalidInput).
    async fn write_batch(&self, writes: &[Write], options: &WriteOptions) -> Result<BatchReceipt>;

    /// Tells for each pair whether it exists.
    ///
    /// # Errors
    ///
    /// Any but [`Error::InvalidInput`](crate::Error::InvalidInput).
    async fn has_rsvped_batch(
        &self,
        pairs: &[Rsvp],
        options: &ReadOptions,
    ) -> Result<Vec<Result<bool>>>;

    /// Tells for each event how many RSVPs it has. An unknown event has none.
    ///
    /// # Behavior
    ///
    /// - The cost of an event does not depend on the number of its attendees.
    /// - At [`Consistency::Bounded`](crate::Consistency::Bounded) no [`Count::age`] exceeds the
    ///   bound.
    /// - A count that cannot be had in full is an error, never a lower number.
    ///
    /// # Errors
    ///
    /// Any but [`Error::InvalidInput`](crate::Error::InvalidInput).
    async fn rsvp_count_batch(
        &self,
        events: &[EventId],
        options: &ReadOptions,
    ) -> Result<Vec<Result<Count>>>;

    /// Reads a page of the users who RSVPed to `event`.
    ///
    /// # Behavior
    ///
    /// The same for all three listings:
    ///
    /// - An entry that is there during the whole listing appears at least once. An entry that comes
    ///   or goes meanwhile may appear or not. Without concurrent writes every entry appears exactly
    ///   once, unless the backend says otherwise.
    /// - The order is the backend's own.
    /// - A page has at most [`PageRequest::limit`] items and may have fewer, even none, without
    ///   being the last.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) with the field `cursor` for a cursor
    /// that this listing of this subject never returned, otherwise any.
    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>>;

    /// Reads a page of the events that `user` RSVPed to, as
    /// [`attendees_page`](Self::attendees_page).
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
    /// - When a step says that there is [no more](RemovalStep::more), nothing of the event is left
    ///   that was there when the first step began: no RSVP, no count, no list entry, in either
    ///   direction.
    /// - A step that says that there is more has removed something, or a later one will. Steps end
    ///   on an event that nobody writes to.
    /// - Steps may be repeated and may be stopped at any point, by a crash too. A repeated step
    ///   does not count again the RSVPs that a failed one had removed. A layer that repeats a step
    ///   after an attempt of unknown effect says so by [`RemovalStep::repeated`].
    /// - RSVPs that arrive meanwhile may stay or go.
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

    /// Reads a label: a small fact that the store keeps about itself, `None` if it has none of this
    /// name.
    ///
    /// # Errors
    ///
    /// Any but [`Error::InvalidInput`](crate::Error::InvalidInput).
    async fn label(&self, name: &LabelName, options: &ReadOptions) -> Result<Option<Label>>;

    /// Sets a label if it holds `expected`, atomically, and returns the label as it was before.
    ///
    /// # Behavior
    ///
    /// - The label was replaced if and only if the returned value equals `expected`. `None` expects
    ///   that there is no label of this name.
    /// - Nothing else changes or removes a label, removals of events and users included.
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

    /// Succeeds only if a write would be accepted now. A store that can be read but not written,
    /// such as a demoted primary, is not ready.
    ///
    /// It answers whether an instance of a service should get traffic. A store of several parts, such
    /// as shards, is ready if as many of them are as its [`ReadyPolicy`](crate::ReadyPolicy) asks for.
    /// [`health`](Self::health) tells which are down.
    ///
    /// # Errors
    ///
    /// That of a write.
    async fn ready(&self) -> Result<()>;

    /// Whether each part of the store would accept a write now. Defaults to one part, which is as
    /// [`ready`](Self::ready) as the store.
    async fn health(&self) -> Health {
        Health::of_whole(self.ready().await)
    }

    /// Closes the store: calls from now on fail as [`Error::Closed`](crate::Error::Closed), queued
    /// calls are finished, and connections are closed. Closing twice is fine. It takes as long as the
    /// calls under way, which their deadlines and the store's timeouts bound.
    ///
    /// # Errors
    ///
    /// That of the engine, if it does not let go of its connections.
    async fn close(&self) -> Result<()>;

    /// The longest time after the deadline of a write for which its effect may stay
    /// [pending](crate::Effect::Pending). Defaults to 10 s. A layer whose callers give up before the
    /// store does tells them to wait for so long.
    fn settling_time(&self) -> Duration {
        Duration::from_secs(10)
    }

    /// The maintenance of a store that derives data and can find it to differ. Defaults to `None`,
    /// for a store that has nothing to audit.
    fn maintenance(&self) -> Option<&dyn Maintenance> {
        None
    }
}
