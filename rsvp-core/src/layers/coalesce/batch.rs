//! The kinds of batches that the calls of a lane become: writes, memberships, counts.

use std::collections::HashMap;

use super::lane::Batch;
use crate::{
    Consistency, Count, EventId, Operation, Outcome, Result, Rsvp, RsvpStore, SessionToken, Write,
};

/// Writes of one lane, in the order in which they came.
pub(super) struct Writes;

impl Batch for Writes {
    const OPERATION: Operation = Operation::Write;
    type Entry = Write;
    type Answer = Outcome;
    type Freshness = ();
    type Token = SessionToken;

    fn join((): &mut (), (): ()) {}

    async fn run<S: RsvpStore>(
        store: &S,
        writes: Vec<Write>,
        (): (),
    ) -> Result<(Vec<Outcome>, SessionToken)> {
        let receipt = store.write_batch(&writes).await?;
        Ok((receipt.outcomes, receipt.token))
    }
}

/// Reads of whether pairs exist.
pub(super) struct Memberships;

impl Batch for Memberships {
    const OPERATION: Operation = Operation::HasRsvped;
    type Entry = Rsvp;
    type Answer = bool;
    type Freshness = Consistency;
    type Token = ();

    fn join(freshness: &mut Consistency, other: Consistency) {
        both(freshness, other);
    }

    async fn run<S: RsvpStore>(
        store: &S,
        pairs: Vec<Rsvp>,
        consistency: Consistency,
    ) -> Result<(Vec<bool>, ())> {
        Ok((store.has_rsvped_batch(&pairs, &consistency).await?, ()))
    }
}

/// Counts of events; an event that many ask for is asked for once.
pub(super) struct Counts;

impl Batch for Counts {
    const OPERATION: Operation = Operation::RsvpCounts;
    type Entry = EventId;
    type Answer = Count;
    type Freshness = Consistency;
    type Token = ();

    fn join(freshness: &mut Consistency, other: Consistency) {
        both(freshness, other);
    }

    async fn run<S: RsvpStore>(
        store: &S,
        events: Vec<EventId>,
        consistency: Consistency,
    ) -> Result<(Vec<Count>, ())> {
        let (mut distinct, mut places) = (Vec::new(), HashMap::new());
        let asked: Vec<usize> = events
            .into_iter()
            .map(|event| {
                *places.entry(event).or_insert_with_key(|event| {
                    distinct.push(event.clone());
                    distinct.len() - 1
                })
            })
            .collect();
        let counts = store.rsvp_counts(&distinct, &consistency).await?;
        // Too few answers are found out by their number.
        Ok((asked.into_iter().filter_map(|at| counts.get(at).copied()).collect(), ()))
    }
}

/// Makes `freshness` as fresh as both.
fn both(freshness: &mut Consistency, other: Consistency) {
    *freshness = match (std::mem::take(freshness), other) {
        (Consistency::Session(mut token), Consistency::Session(other)) => {
            token.merge(&other);
            Consistency::Session(token)
        }
        (Consistency::Bounded(bound), Consistency::Bounded(other)) => {
            Consistency::Bounded(bound.min(other))
        }
        (Consistency::Eventual, Consistency::Eventual) => Consistency::Eventual,
        _ => Consistency::Strong,
    };
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_batch_is_as_fresh_as_its_most_demanding_call() {
        let of = |mut freshness: Consistency, other| {
            both(&mut freshness, other);
            freshness
        };
        let bounded = |millis| Consistency::Bounded(Duration::from_millis(millis));
        let session = |position| Consistency::Session(SessionToken::at(1, position));
        assert_eq!(of(bounded(7), bounded(3)), bounded(3));
        assert_eq!(of(bounded(3), bounded(7)), bounded(3));
        assert_eq!(of(session(7), session(3)), session(7));
        assert_eq!(of(Consistency::Eventual, Consistency::Eventual), Consistency::Eventual);
        assert_eq!(of(Consistency::Eventual, bounded(7)), Consistency::Strong);
    }
}
