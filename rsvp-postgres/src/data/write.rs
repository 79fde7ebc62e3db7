//! A batch of writes, its division into statements, and the combination of their outcomes.
//!
//! A statement has only cancels or only RSVPs. With both it could not lock its rows in one order,
//! and writers would deadlock.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use rsvp_core::backend::FoldedBatch;
use rsvp_core::{Action, BatchReceipt, Error, EventId, Operation, Result, SessionToken, Write};

use super::batch::{AT_ONCE, Answered, Batch, LARGEST, split};
use super::count_slots::drop_empty;
use super::locked_events::LockedEvents;
use crate::sql::Statements;
use crate::wire::connection::Connection;
use crate::wire::failure::WorkError;
use crate::wire::work::Work;
use crate::wire::write_set::WriteSet;

/// The fewest pairs of a part, if a batch has several parts.
/// The server works on a statement with one core, so a large batch goes to several connections.
/// Smaller parts would cost more in statements and commits than they save.
const SMALLEST: usize = 512;

/// The longest wait for a lock of a part, after the undivided statement has waited in vain.
/// It is long enough for another write to be done.
const PATIENCE_OF_PARTS: Duration = Duration::from_millis(50);

/// Writes of one kind, in one statement.
#[derive(Clone, Debug)]
pub(crate) struct Writes {
    batch: Arc<FoldedBatch>,
    action: Action,
    /// The places of the batch's final writes of this kind, in their order.
    places: Arc<[usize]>,
    /// The part of the places in this statement.
    range: Range<usize>,
    /// The longest wait for a lock, if it is shorter than the store's lock timeout.
    patience: Duration,
}

impl Writes {
    /// Returns the final writes of a batch that `may_write` allows, in statements of about the same
    /// size. No pair is in two statements, so they can run in any order.
    /// A locked event has its own statements. They come last.
    pub(crate) fn divide_all(
        batch: &Arc<FoldedBatch>,
        may_write: impl Fn(&Write) -> bool,
        connections: usize,
        locked: &LockedEvents,
    ) -> Vec<Self> {
        let locked = locked.among(batch.finals().iter().map(|write| &write.rsvp.event));
        let of_kind = |action, chosen: &dyn Fn(&EventId) -> bool| {
            let all = batch.finals().iter().enumerate();
            let kind = all.filter(|(_, write)| {
                write.action == action && chosen(&write.rsvp.event) && may_write(write)
            });
            let places: Arc<[usize]> = kind.map(|(place, _)| place).collect();
            let (batch, range) = (batch.clone(), 0..places.len());
            Self { batch, action, range, places, patience: Duration::MAX }
        };
        // A write is either of an event that is free, or of exactly one of the locked events.
        const KINDS: [Action; 2] = [Action::Cancel, Action::Rsvp];
        let free = KINDS.map(|action| of_kind(action, &|event| !locked.contains(event)));
        let alone = locked
            .iter()
            .flat_map(|event| KINDS.map(|action| of_kind(action, &|other| other == event)));
        free.into_iter()
            .chain(alone)
            .filter(|writes| writes.len() > 0)
            .flat_map(|writes| writes.parts(connections))
            .collect()
    }

    fn parts(self, connections: usize) -> impl Iterator<Item = Self> {
        let pairs = self.len();
        let for_speed = (pairs / SMALLEST).clamp(1, AT_ONCE.min(connections));
        self.divide(for_speed.max(pairs.div_ceil(LARGEST)))
    }

    /// Returns the places of the writes among the final writes of the batch.
    pub(crate) fn places(&self) -> &[usize] {
        self.places.get(self.range.clone()).unwrap_or_default()
    }

    /// Returns the event of all writes, if there is only one.
    pub(crate) fn event(&self) -> Option<&EventId> {
        // Final writes are sorted by event.
        let first = self.writes().next()?;
        let last = self.places().last().and_then(|place| self.batch.finals().get(*place))?;
        (first.rsvp.event == last.rsvp.event).then_some(&first.rsvp.event)
    }

    fn writes(&self) -> impl Iterator<Item = &Write> + Clone {
        self.places().iter().filter_map(|place| self.batch.finals().get(*place))
    }
}

impl Batch for Writes {
    fn len(&self) -> usize {
        self.range.len()
    }

    fn split_at(&self, at: usize) -> (Self, Self) {
        let (first, second) = split(&self.range, at);
        (Self { range: first, ..self.clone() }, Self { range: second, ..self.clone() })
    }

    /// Divides between two events, in the middle if possible.
    fn split_locked(&self) -> Option<(Self, Self)> {
        let events: Vec<_> = self.writes().map(|write| &write.rsvp.event).collect();
        let borders = (1..events.len()).filter(|at| events.get(at - 1) != events.get(*at));
        let middle = borders.min_by_key(|at| at.abs_diff(events.len() / 2))?;
        let (first, second) = self.split_at(middle);
        let patience = PATIENCE_OF_PARTS;
        Some((Self { patience, ..first }, Self { patience, ..second }))
    }
}

impl Work for Writes {
    /// Whether each write changed anything, in turn.
    type Answer = Vec<bool>;

    fn operation(&self) -> Operation {
        Operation::Write
    }

    fn write_set(&self) -> WriteSet {
        WriteSet::of_writes(self.writes())
    }

    async fn run(
        &self,
        connection: &mut Connection,
        sql: &Statements,
    ) -> Result<Self::Answer, WorkError> {
        let pairs =
            self.writes().map(|Write { rsvp, .. }| (rsvp.event.as_str(), rsvp.user.as_str()));
        let (events, users): (Vec<&str>, Vec<&str>) = pairs.clone().unzip();
        let statement = match self.action {
            Action::Cancel => &sql.cancel,
            Action::Rsvp => &sql.add,
        };
        let query = sqlx::query_as(statement)
            .bind(events)
            .bind(users)
            .bind(connection.latest_begin())
            .bind(connection.lock_timeout(self.patience));
        let (in_time, synchronous, events, users, emptied): (_, _, _, _, Vec<String>) =
            connection.change(query).await?;
        let (events, users): (Vec<String>, Vec<String>) = (events, users);
        connection.take_turn(in_time, synchronous)?;
        connection.applied = true;
        let emptied: Vec<&str> = emptied.iter().map(String::as_str).collect();
        drop_empty(connection, sql, &emptied).await?;
        let changed = events.iter().map(String::as_str).zip(users.iter().map(String::as_str));
        let changed: HashSet<(&str, &str)> = changed.collect();
        Ok(pairs.map(|pair| changed.contains(&pair)).collect())
    }
}

/// The places of the final writes that were sent, and their answers in the same order.
pub(crate) type Sent = (Vec<usize>, Vec<Answered<(Vec<bool>, SessionToken)>>);

/// Makes the receipt of a batch from the answers to the final writes at `places`.
/// The writes at other places were not sent, and have the error `refused`.
pub(crate) fn receipt(
    batch: &FoldedBatch,
    places: Vec<usize>,
    answered: Vec<Answered<(Vec<bool>, SessionToken)>>,
    refused: &Error,
) -> BatchReceipt {
    // 1. One token for the whole batch, and a result for each sent write.
    let mut token = SessionToken::new();
    let results = answered.into_iter().flat_map(|part| {
        part.results(|(changed, of_part)| {
            token.merge(&of_part);
            changed.into_iter().map(Ok).collect()
        })
    });
    let mut sent: HashMap<usize, Result<bool>> = places.into_iter().zip(results).collect();
    // 2. The results of all writes. The batch asks for them in the order of its final writes.
    let mut places = 0..;
    let results = batch.results(|_| {
        let result = places.next().and_then(|place| sent.remove(&place));
        result.unwrap_or_else(|| Err(refused.clone()))
    });
    BatchReceipt::new(results, token)
}

#[cfg(test)]
mod tests {
    use rsvp_core::{Effect, EventId, Outcome, UserId};

    use super::*;

    fn batch(pairs: u64) -> Arc<FoldedBatch> {
        let write = |n: u64| match n % 3 {
            0 => Write::cancel(UserId::from(n), EventId::from(n % 7)),
            _ => Write::rsvp(UserId::from(n), EventId::from(n % 7)),
        };
        Arc::new(FoldedBatch::new(&(0..pairs).map(write).collect::<Vec<_>>()))
    }

    #[test]
    fn all_statements_make_the_batch_and_share_no_pair() {
        // A third of the pairs are cancels.
        for (pairs, connections, expected) in
            [(0, 9, 0), (2, 9, 2), (1024, 9, 2), (1536, 9, 3), (6000, 9, 7), (6000, 1, 2)]
        {
            let batch = batch(pairs);
            let parts = Writes::divide_all(&batch, |_| true, connections, &LockedEvents::default());
            assert_eq!(parts.len(), expected, "{pairs} over {connections}");
            let mut places: Vec<_> = parts.iter().flat_map(|part| part.places()).collect();
            places.sort();
            assert!(places.into_iter().copied().eq(0..batch.finals().len()));
            for part in parts {
                assert!(part.writes().all(|write| write.action == part.action));
            }
        }
    }

    #[test]
    fn a_large_batch_has_many_statements_of_bounded_size() {
        let parts = Writes::divide_all(&batch(100_000), |_| true, 10, &LockedEvents::default());
        assert!(parts.iter().all(|part| (1..=LARGEST).contains(&part.len())));
        assert_eq!(parts.len(), 9 + 17);
    }

    #[test]
    fn a_part_can_be_divided_down_to_one_write() {
        let batch = batch(10);
        let part = Writes::divide_all(&batch, |_| true, 1, &LockedEvents::default()).remove(1);
        let (first, second) = part.split_at(2);
        assert_eq!([first.places(), second.places()].concat(), part.places());
        let (one, none) = first.split_at(1).0.split_at(1);
        assert_eq!((one.len(), none.len()), (1, 0));
    }

    #[test]
    fn the_writes_of_a_locked_event_are_statements_of_their_own() {
        let locked = LockedEvents::default();
        locked.add(&EventId::from(3));
        let parts = Writes::divide_all(&batch(100), |_| true, 1, &locked);
        let events: Vec<_> = parts.iter().map(|part| part.event().cloned()).collect();
        assert_eq!(events, [None, None, Some(EventId::from(3)), Some(EventId::from(3))]);
        assert_eq!(parts.iter().map(Writes::len).sum::<usize>(), 100);
    }

    #[test]
    fn a_part_that_waits_for_a_lock_is_divided_between_events_down_to_one() {
        let part = Writes::divide_all(&batch(100), |_| true, 1, &LockedEvents::default()).remove(1);
        let mut waiting = vec![part];
        let mut events = Vec::new();
        while let Some(part) = waiting.pop() {
            match part.split_locked() {
                Some((first, second)) => waiting.extend([second, first]),
                None => events.push(part.event().unwrap().clone()),
            }
        }
        assert_eq!(events, (0..7_u64).map(EventId::from).collect::<Vec<_>>());
    }

    #[test]
    fn each_write_has_the_result_of_its_statement_and_the_token_covers_all() {
        let (ann, bob, eve) = (UserId::from(1), UserId::from(2), UserId::from(3));
        let fair = EventId::from(1);
        let writes = [&ann, &bob, &eve].map(|user| Write::rsvp(user.clone(), fair.clone()));
        let batch = FoldedBatch::new(&writes);
        let lost = Error::unavailable(Operation::Write, Effect::Unknown, None);
        let answered = vec![
            Answered { entries: 1, answer: Ok((vec![true], SessionToken::at(1, 5))) },
            Answered { entries: 1, answer: Err(lost) },
        ];
        let refused = Error::overloaded(Operation::Write);
        let receipt = receipt(&batch, vec![2, 0], answered, &refused);
        let effects = receipt.results.iter().map(|result| match result {
            Ok(written) => Ok(written.outcome),
            Err(error) => Err(error.effect()),
        });
        let expected = [Err(Effect::Unknown), Err(Effect::NotApplied), Ok(Outcome::Applied)];
        assert_eq!(effects.collect::<Vec<_>>(), expected);
        assert_eq!(receipt.token, SessionToken::at(1, 5));
    }
}
