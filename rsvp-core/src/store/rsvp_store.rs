//! The trait that a backend implements.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::{
    BatchReceipt, Consistency, Count, EventId, Page, PageLimit, PageRequest, RemovalStep, Result,
    Rsvp, UserId, Write,
};

/// A place that keeps RSVPs: a backend, or a wrapper around one.
///
/// This is the small object-safe trait for those who *implement* a store. Those who *use* one
/// call the verbs of [`RsvpStoreExt`](crate::RsvpStoreExt), which every store has for free.
///
/// # Behavior
///
/// An RSVP is a pair (user, event) that exists or does not; every count is derived from that.
/// What follows holds for every method, and `rsvp-testkit` checks it for any store in one line.
///
/// - **Batches are the primitive.** A call costs a fixed number of round trips however many
///   entries it has; none is fine too. Answers come in the order of what was asked, repeats
///   included.
/// - **Repeating is safe.** After an error the same call may be repeated: the state ends right
///   and no count moves twice. [`Error::effect`](crate::Error::effect) tells whether the failed
///   try took effect.
/// - **Dropping a future is safe.** The write may or may not take effect; nothing leaks, and no
///   answer reaches another caller.
/// - **Reads are as fresh as asked**, or fresher: see [`Consistency`].
/// - Every wait is bounded, by the backend or by a wrapper around it that says so.
///
/// # Implementing it
///
/// No method has a default, so a wrapper that forgets to forward one does not compile. Map the driver's errors by code, never by message.
#[async_trait]
pub trait RsvpStore: Debug + Send + Sync {
    /// Applies writes as if one after another, each with its own outcome, duplicates of a pair
    /// included.
    ///
    /// # Behavior
    ///
    /// - The outcomes come in the order of the writes.
    /// - The count of an event moves by exactly the writes that answer
    ///   [`Applied`](crate::Outcome::Applied).
    /// - Once it returns, reads at [`Consistency::Strong`] see all of it.
    /// - It is not a transaction: a concurrent read may see a part of it, and after an error any
    ///   part of it may hold.
    ///
    /// # Errors
    ///
    /// Any but [`Error::InvalidInput`](crate::Error::InvalidInput).
    async fn write_batch(&self, writes: &[Write]) -> Result<BatchReceipt>;

    /// For each pair, whether it exists.
    ///
    /// # Errors
    ///
    /// Any but [`Error::InvalidInput`](crate::Error::InvalidInput).
    async fn has_rsvped_batch(
        &self,
        pairs: &[Rsvp],
        consistency: &Consistency,
    ) -> Result<Vec<bool>>;

    /// For each event, how many RSVPs it has; zero for an event nobody knows.
    ///
    /// # Behavior
    ///
    /// - Constant time per event, however many attend it.
    /// - At [`Consistency::Bounded`] no [`Count::age`] exceeds the bound.
    /// - A count that cannot be had in full is an error, never a lower number.
    ///
    /// # Errors
    ///
    /// Any but [`Error::InvalidInput`](crate::Error::InvalidInput).
    async fn rsvp_counts(
        &self,
        events: &[EventId],
        consistency: &Consistency,
    ) -> Result<Vec<Count>>;

    /// A page of the users who RSVPed to `event`.
    ///
    /// # Behavior
    ///
    /// The same for all three listings:
    ///
    /// - Whatever is there during the whole listing appears at least once; what comes or goes
    ///   meanwhile may appear or not. Without concurrent writes everything appears exactly once,
    ///   unless the backend says otherwise.
    /// - The order is the backend's own.
    /// - A page has at most [`PageRequest::limit`] items and may have fewer, even none, without
    ///   being the last.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) with the field `cursor` for a cursor
    /// that this listing never returned, as far as that can be told; otherwise any.
    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>>;

    /// A page of the events that `user` RSVPed to, as
    /// [`attendees_page`](Self::attendees_page).
    ///
    /// # Errors
    ///
    /// As [`attendees_page`](Self::attendees_page).
    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>>;

    /// A page of all RSVPs, as [`attendees_page`](Self::attendees_page).
    ///
    /// # Errors
    ///
    /// As [`attendees_page`](Self::attendees_page).
    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>>;

    /// Removes up to `limit` RSVPs of `event`, in both directions.
    ///
    /// # Behavior
    ///
    /// - When a step says that there is [no more](RemovalStep::more), nothing of what was there
    ///   when the first began is left: no RSVP, no count, no list entry, in either direction.
    /// - A step that says that there is more has removed something, or will; steps do not go on
    ///   for ever on an event that nobody writes to.
    /// - Steps may be repeated and may be stopped at any point, by a crash too. A repeated step
    ///   does not count again what a failed one had removed.
    /// - RSVPs that arrive meanwhile may stay or go.
    ///
    /// # Errors
    ///
    /// Any but [`Error::InvalidInput`](crate::Error::InvalidInput).
    async fn remove_event_step(&self, event: &EventId, limit: PageLimit) -> Result<RemovalStep>;

    /// Removes up to `limit` RSVPs of `user`, as
    /// [`remove_event_step`](Self::remove_event_step).
    ///
    /// # Errors
    ///
    /// As [`remove_event_step`](Self::remove_event_step).
    async fn remove_user_step(&self, user: &UserId, limit: PageLimit) -> Result<RemovalStep>;

    /// Succeeds only if a write would be accepted now. A store that can be read but not written,
    /// such as a demoted primary, is not ready.
    ///
    /// # Errors
    ///
    /// What a write would fail with.
    async fn ready(&self) -> Result<()>;
}
