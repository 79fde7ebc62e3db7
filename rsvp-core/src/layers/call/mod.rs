//! A call of a store, as a value.

mod batch;
mod single;

pub(super) use self::batch::{HasRsvpedBatch, RsvpCountBatch, WriteBatch};
pub(super) use self::single::{
    AttendeesPage, EventsOfPage, ReadLabel, Ready, RemoveEventStep, RemoveUserStep, ReplaceLabel,
    ScanPage,
};
use crate::{Action, Deadline, Error, EventId, Operation, Result, RsvpStore, UserId};

/// A call of a store, as a value.
/// A [`Layer`](super::Layer) can inspect it, change it and run it any number of times.
///
/// ```
/// use rsvp_core::layers::{Call, Layer};
/// use rsvp_core::{Error, Result, RsvpStore};
///
/// /// Refuses the entries about one closed event in every batch, and no other entry.
/// #[derive(Debug, thiserror::Error)]
/// #[error("the event is closed")]
/// struct Closed;
///
/// impl Layer for Closed {
///     async fn call<C: Call, S: RsvpStore>(&self, call: C, store: &S) -> Result<C::Answer> {
///         let is_open = |place: &usize| call.event(*place).is_none_or(|e| e.as_str() != "closed");
///         let open: Vec<usize> = (0..call.entries()).filter(is_open).collect();
///         let answer = call.part(&open).run(store).await?;
///         let refused = Error::refused(call.operation(), Closed);
///         Ok(C::widen(answer, &open, call.entries(), &refused))
///     }
/// }
/// ```
pub trait Call: Clone + Send + Sync {
    /// The answer to the call.
    type Answer: Send;

    /// Returns the operation.
    fn operation(&self) -> Operation;

    /// Returns the number of entries of a batch, or the limit of a page or a step, or 0.
    fn entries(&self) -> usize;

    /// Returns the event of an entry of a batch, or of a call about one event.
    /// `None` if the call names no event at this place.
    fn event(&self, _place: usize) -> Option<&EventId> {
        None
    }

    /// Returns the user of an entry of a batch, or of a call about one user,
    /// as [`event`](Self::event).
    fn user(&self, _place: usize) -> Option<&UserId> {
        None
    }

    /// Returns the action of an entry of a batch of writes. `None` for other calls.
    ///
    /// ```
    /// use rsvp_core::Action;
    /// use rsvp_core::layers::Call;
    ///
    /// /// Returns the places of the cancels in a batch.
    /// fn cancels<C: Call>(call: &C) -> Vec<usize> {
    ///     let is_cancel = |place: &usize| call.action(*place) == Some(Action::Cancel);
    ///     (0..call.entries()).filter(is_cancel).collect()
    /// }
    /// ```
    fn action(&self, _place: usize) -> Option<Action> {
        None
    }

    /// Returns the deadline of the call.
    /// `None` if it has none, or if its operation has no deadlines.
    fn deadline(&self) -> Option<Deadline>;

    /// Lowers the deadline of the call to this one.
    #[must_use]
    fn with_deadline(self, deadline: Deadline) -> Self;

    /// Returns whether the call comes from a bounded queue.
    fn is_queued(&self) -> bool {
        false
    }

    /// Runs the call on a store.
    ///
    /// # Errors
    ///
    /// The error of the store.
    fn run<'f, S: RsvpStore + ?Sized>(
        &'f self,
        store: &'f S,
    ) -> impl Future<Output = Result<Self::Answer>> + Send;

    /// Returns the failed entries of a batch: their places and errors. Empty for other calls.
    fn failures(_answer: &Self::Answer) -> Vec<(usize, Error)> {
        Vec::new()
    }

    /// Returns the call with these entries of its batch alone. Other calls stay as they are.
    #[must_use]
    fn part(&self, _places: &[usize]) -> Self {
        self.clone()
    }

    /// Puts the answer to a [`part`](Self::part) of a batch into the answer to the whole.
    fn merge(answer: &mut Self::Answer, _places: &[usize], part: Self::Answer) {
        *answer = part;
    }

    /// Turns the answer to a [`part`](Self::part) of a batch into the answer to the whole
    /// of `entries` entries. The entries outside of the part get this error.
    /// The answers to other calls stay as they are.
    #[must_use]
    fn widen(
        part: Self::Answer,
        _places: &[usize],
        _entries: usize,
        _error: &Error,
    ) -> Self::Answer {
        part
    }

    /// Replaces the result of one entry of a batch by an error.
    fn fail(_answer: &mut Self::Answer, _place: usize, _error: Error) {}

    /// Marks a write, or a step of a removal, as repeated after an attempt of unknown effect.
    fn mark_repeated(_answer: &mut Self::Answer, _place: usize) {}
}
