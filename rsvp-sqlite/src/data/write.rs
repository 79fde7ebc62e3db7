//! RSVPs and cancels.

use std::ops::Range;
use std::sync::Arc;

use rsvp_core::backend::FoldedBatch;
use rsvp_core::{Action, Effect, Operation, Result, Write};

use super::change::{Care, Change, alone};
use super::names::Changes;
use crate::wire::failure::{Failure, concerns_an_entry};

/// The maximum number of writes in one job.
/// A longer batch is divided into several jobs, and can take several transactions.
/// So other calls need not wait for all of it.
const PIECE: usize = 4096;

/// A part of a batch, with at most [`PIECE`] writes.
#[derive(Clone, Debug)]
pub(crate) struct Writes {
    batch: Arc<FoldedBatch>,
    range: Range<usize>,
}

impl Writes {
    /// Divides a batch into parts. They share no pair.
    pub(crate) fn pieces(batch: &Arc<FoldedBatch>) -> Vec<Self> {
        let length = batch.finals().len();
        let piece = |from| Self { batch: Arc::clone(batch), range: from..length.min(from + PIECE) };
        (0..length).step_by(PIECE).map(piece).collect()
    }

    /// Divides it into two parts. Returns `None` for a single write.
    pub(crate) fn halves(&self) -> Option<[Self; 2]> {
        let Range { start, end } = self.range;
        let middle = start + self.len() / 2;
        let half = |range| Self { batch: Arc::clone(&self.batch), range };
        (self.len() > 1).then(|| [half(start..middle), half(middle..end)])
    }

    pub(crate) fn len(&self) -> usize {
        self.range.len()
    }

    fn writes(&self) -> &[Write] {
        self.batch.finals().get(self.range.clone()).unwrap_or_default()
    }
}

impl Change for Writes {
    /// Each write has its own answer, and tells whether it has changed anything.
    type Answer = Vec<Result<bool>>;

    fn operation(&self) -> Operation {
        Operation::Write
    }

    fn apply(
        &self,
        changes: &mut Changes<'_>,
        care: Care,
    ) -> std::result::Result<Self::Answer, Failure> {
        let mut answers = Vec::with_capacity(self.len());
        for write in self.writes() {
            let applied = match care {
                Care::None => apply(changes, write),
                Care::EachAlone => alone(changes, |changes| apply(changes, write)),
            };
            let failure = match applied {
                Ok(changed) => {
                    answers.push(Ok(changed));
                    continue;
                }
                Err(Failure::Engine(error)) if care == Care::None || !concerns_an_entry(&error) => {
                    return Err(error.into());
                }
                Err(failure) => failure,
            };
            answers.push(Err(failure.into_error(Operation::Write, Effect::NotApplied)));
        }
        Ok(answers)
    }
}

fn apply(changes: &mut Changes<'_>, write: &Write) -> std::result::Result<bool, Failure> {
    match write.action {
        Action::Rsvp => changes.add(&write.rsvp),
        Action::Cancel => changes.delete(&write.rsvp),
    }
}
