//! The entries of a batch. Some of them fail and others hold.

use std::hash::Hash;

use rsvp_core::{Effect, Error, EventId, Operation, Result, Write};

use super::fate::{EntryFate, Fate};
use super::pending::Scope;
use super::{FaultStore, lock, lost, refused};

/// The result of an entry: whether it is done, and its error.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) is_done: bool,
    error: Option<Error>,
}

impl Verdict {
    fn holds(&self) -> bool {
        self.is_done && self.error.is_none()
    }
}

impl<S> FaultStore<S> {
    /// Returns the verdict on an entry about `event`.
    pub(super) fn verdict(
        &self,
        operation: Operation,
        fate: Fate,
        entry: &impl Hash,
        event: &EventId,
    ) -> Verdict {
        if lock(&self.refused).contains(event) {
            // An engine refuses such an entry again and again, so the error is not retryable.
            let why = std::io::Error::other("the event is refused on purpose");
            let error = Error::backend(operation, Effect::NotApplied, false, why);
            return Verdict { is_done: false, error: Some(error) };
        }
        match fate.of_entry(entry) {
            EntryFate::Holds => Verdict { is_done: true, error: None },
            EntryFate::Before => Verdict { is_done: false, error: Some(refused(operation)) },
            EntryFate::After => Verdict { is_done: true, error: Some(lost(operation)) },
        }
    }

    /// Returns the verdict on a write. It is refused if an earlier pending write can undo it.
    pub(super) fn verdict_on_write(&self, fate: Fate, write: &Write) -> Verdict {
        if self.pending.fence(&Scope::Pair(write.rsvp.clone())) {
            return Verdict { is_done: false, error: Some(refused(Operation::Write)) };
        }
        self.verdict(Operation::Write, fate, &write.rsvp, &write.rsvp.event)
    }
}

/// Returns the entries that are done.
pub(super) fn done<E: Clone>(entries: &[E], verdicts: &[Verdict]) -> Vec<E> {
    let done = entries.iter().zip(verdicts).filter(|(_, verdict)| verdict.is_done);
    done.map(|(entry, _)| entry.clone()).collect()
}

/// Returns whether nothing of the batch fails on purpose.
pub(super) fn all_hold(verdicts: &[Verdict]) -> bool {
    verdicts.iter().all(Verdict::holds)
}

/// Merges the answers to the finished entries with the errors of the others.
pub(super) fn merge<A>(
    operation: Operation,
    verdicts: Vec<Verdict>,
    answers: Vec<Result<A>>,
) -> Vec<Result<A>> {
    let mut answers = answers.into_iter();
    let merged = verdicts.into_iter().map(|Verdict { is_done, error }| {
        let answer = if is_done { answers.next() } else { None };
        match (error, answer) {
            (None, Some(answer)) => answer,
            // The error of the store itself says more than the fault.
            (Some(_), Some(Err(own))) => Err(own),
            (Some(error), _) => Err(error),
            (None, None) => Err(Error::corrupt(operation, "an entry without an answer")),
        }
    });
    merged.collect()
}
