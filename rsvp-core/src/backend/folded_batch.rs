//! Reducing a batch to one write per pair, for backends that write in sets.

use crate::{Action, Error, Outcome, Result, Rsvp, Write, Written};

/// A batch reduced to the last write of each pair, sorted by event, then user.
///
/// Engines write in sets without order and duplicates.
/// But a batch behaves as its writes one after another, each with its own outcome.
/// Two facts bridge the gap:
///
/// - The final state of a pair depends only on the pair's last write.
/// - If the engine tells whether the last write changed anything, then the state of the pair
///   before the batch is known. The outcome of every write of the pair follows from that state.
///
/// The order is the order of bytes. Concurrent writers lock in this order, and so cannot deadlock.
///
/// ```
/// use rsvp_core::backend::FoldedBatch;
/// use rsvp_core::{EventId, Outcome, UserId, Write};
///
/// let (ann, fair) = (UserId::new("ann")?, EventId::new("fair")?);
/// let rsvp = Write::rsvp(ann.clone(), fair.clone());
/// let cancel = Write::cancel(ann, fair);
///
/// let batch = FoldedBatch::new(&[rsvp.clone(), rsvp, cancel.clone()]);
/// assert_eq!(batch.finals(), [cancel]);
/// // The engine cancelled nothing, so the pair was absent: the first RSVP would have added it.
/// let outcomes = batch.outcomes(|_| false);
/// assert_eq!(outcomes, [Outcome::Applied, Outcome::Unchanged, Outcome::Applied]);
/// # Ok::<(), rsvp_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct FoldedBatch {
    finals: Vec<Write>,
    /// For each write of the batch, its action and the place of its pair in `finals`.
    writes: Vec<(Action, usize)>,
}

impl FoldedBatch {
    /// Reduces `writes`.
    pub fn new(writes: &[Write]) -> Self {
        let mut sorted: Vec<(usize, &Write)> = writes.iter().enumerate().collect();
        sorted.sort_by(|(_, a), (_, b)| key(a).cmp(&key(b)));

        let mut finals: Vec<Write> = Vec::with_capacity(writes.len());
        let mut places = vec![0; writes.len()];
        for (at, write) in sorted {
            match finals.last_mut() {
                // The sort is stable, so the last of the equal ones is the last of the batch.
                Some(last) if last.rsvp == write.rsvp => last.action = write.action,
                _ => finals.push(write.clone()),
            }
            if let Some(place) = places.get_mut(at) {
                *place = finals.len() - 1;
            }
        }
        let actions = writes.iter().map(|write| write.action);
        Self { finals, writes: actions.zip(places).collect() }
    }

    /// Returns the last write of each pair, sorted by event, then user.
    pub fn finals(&self) -> &[Write] {
        &self.finals
    }

    /// Returns the result of every write of the batch, in its order.
    ///
    /// `changed` tells whether the last write of a pair has changed the store,
    /// or returns its error. The writes of a pair fail together.
    pub fn results(&self, mut changed: impl FnMut(&Write) -> Result<bool>) -> Vec<Result<Written>> {
        let mut failed: Vec<Option<Error>> = Vec::with_capacity(self.finals.len());
        let outcomes = self.outcomes(|write| {
            let changed = changed(write);
            failed.push(changed.as_ref().err().cloned());
            changed.unwrap_or(false)
        });
        let result = |(outcome, (_, place)): (Outcome, &(Action, usize))| match failed
            .get(*place)
            .and_then(Option::as_ref)
        {
            Some(error) => Err(error.clone()),
            None => Ok(Written::new(outcome)),
        };
        outcomes.into_iter().zip(&self.writes).map(result).collect()
    }

    /// Returns the outcome of every write of the batch, in its order.
    ///
    /// `changed` tells whether the last write of a pair has changed the store.
    pub fn outcomes(&self, mut changed: impl FnMut(&Write) -> bool) -> Vec<Outcome> {
        let before = |write: &Write| changed(write) == (write.action == Action::Cancel);
        let mut present: Vec<bool> = self.finals.iter().map(before).collect();
        let outcome = |&(action, place): &(Action, usize)| {
            let wanted = action == Action::Rsvp;
            let was = present.get_mut(place).map(|present| std::mem::replace(present, wanted));
            Outcome::from_changed(was != Some(wanted))
        };
        self.writes.iter().map(outcome).collect()
    }
}

fn key(write: &Write) -> (&str, &str) {
    let Rsvp { user, event } = &write.rsvp;
    (event.as_str(), user.as_str())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::{EventId, UserId};

    fn writes() -> impl Strategy<Value = Vec<Write>> {
        let write = (any::<bool>(), 0..4_u32, 0..3_u32).prop_map(|(rsvp, user, event)| {
            let (user, event) = (UserId::from(user), EventId::from(event));
            if rsvp { Write::rsvp(user, event) } else { Write::cancel(user, event) }
        });
        proptest::collection::vec(write, 0..40)
    }

    fn apply(held: &mut BTreeSet<Rsvp>, Write { action, rsvp }: &Write) -> bool {
        match action {
            Action::Rsvp => held.insert(rsvp.clone()),
            Action::Cancel => held.remove(rsvp),
        }
    }

    proptest! {
        #[test]
        fn outcomes_are_those_of_the_writes_one_after_another(before in writes(), batch in writes()) {
            let mut held = BTreeSet::new();
            before.iter().for_each(|write| { apply(&mut held, write); });
            let mut in_sets = held.clone();

            let expected: Vec<_> =
                batch.iter().map(|write| Outcome::from_changed(apply(&mut held, write))).collect();
            let folded = FoldedBatch::new(&batch);
            let outcomes = folded.outcomes(|write| apply(&mut in_sets, write));
            prop_assert_eq!(outcomes, expected);
            prop_assert_eq!(in_sets, held);
        }

        #[test]
        fn finals_are_sorted_and_one_per_pair(batch in writes()) {
            let folded = FoldedBatch::new(&batch);
            prop_assert!(folded.finals().windows(2).all(|pair| key(&pair[0]) < key(&pair[1])));
        }
    }
}
