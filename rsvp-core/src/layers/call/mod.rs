//! A call of a store, as a value.

mod batch;
mod single;

pub(super) use self::batch::{HasRsvpedBatch, RsvpCountBatch, WriteBatch};
pub(super) use self::single::{
    AttendeesPage, EventsOfPage, ReadLabel, Ready, RemoveEventStep, RemoveUserStep, ReplaceLabel,
    ScanPage,
};
use crate::{Deadline, Error, EventId, Operation, Result, RsvpStore, UserId};

/// A call of a store, as a value that a [`Layer`](super::Layer) can look at, change and run as
/// often as it likes.
pub trait Call: Clone + Send + Sync {
    /// The answer to the call.
    type Answer: Send;

    /// The operation.
    fn operation(&self) -> Operation;

    /// The number of entries of a batch, or the limit of a page or a step, or 0.
    fn entries(&self) -> usize;

    /// The event of an entry of a batch, or of a call that is about one event. `None` if it names
    /// none there.
    fn event(&self, _place: usize) -> Option<&EventId> {
        None
    }

    /// The user of an entry of a batch, or of a call that is about one user, as
    /// [`event`](Self::event).
    fn user(&self, _place: usize) -> Option<&UserId> {
        None
    }

    /// The deadline of the call; `None` if it has none, or is of an operation without deadlines.
    fn deadline(&self) -> Option<Deadline>;

    /// The call with its deadline lowered to this one.
    #[must_use]
    fn with_deadline(self, deadline: Deadline) -> Self;

    /// Whether the call comes from a queue with a bound of its own.
    fn is_queued(&self) -> bool {
        false
    }

    /// Runs the call on a store.
    ///
    /// # Errors
    ///
    /// That of the store.
    fn run<'f, S: RsvpStore + ?Sized>(
        &'f self,
        store: &'f S,
    ) -> impl Future<Output = Result<Self::Answer>> + Send;

    /// The entries of a batch that have failed: their places and errors. Empty for other calls.
    fn failures(_answer: &Self::Answer) -> Vec<(usize, Error)> {
        Vec::new()
    }

    /// The call with these entries of its batch alone. Other calls stay as they are.
    #[must_use]
    fn part(&self, _places: &[usize]) -> Self {
        self.clone()
    }

    /// Puts the answer to a [`part`](Self::part) of a batch into the answer to the whole.
    fn merge(answer: &mut Self::Answer, _places: &[usize], part: Self::Answer) {
        *answer = part;
    }

    /// Makes the answer to a [`part`](Self::part) of a batch the answer to the whole, of so many entries.
    /// Those that are not in the part have this error. The answers to other calls stay as they are.
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

    /// Notes that a write, or a step of a removal, was repeated after an attempt of unknown effect.
    fn mark_repeated(_answer: &mut Self::Answer, _place: usize) {}
}
