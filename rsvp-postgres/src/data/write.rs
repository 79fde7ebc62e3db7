//! A batch of writes: divided over connections, and its outcomes put together again.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use rsvp_core::{Action, Effect, Error, FoldedBatch, Outcome, Result, SessionToken, Write};

use crate::sql::{Statement, Statements};
use crate::wire::connection::Session;

/// The server works on a statement with one core, so a large batch goes to several connections.
/// Smaller pieces than this cost more in statements and commits than they save.
const PIECE: usize = 512;

/// The most connections that one batch uses.
const MAX_PIECES: usize = 4;

/// Pairs as the server tells them: event, user.
pub(crate) type Changed = HashSet<(String, String)>;

/// A batch reduced to one write for each pair.
#[derive(Clone, Debug)]
pub(crate) struct Batch(Arc<FoldedBatch>);

impl Batch {
    pub(crate) fn new(writes: &[Write]) -> Self {
        Self(Arc::new(FoldedBatch::new(writes)))
    }

    /// The batch in pieces of about the same size, no more than there are connections. No pair is
    /// in two, so they can be written in any order.
    pub(crate) fn pieces(&self, connections: usize) -> impl Iterator<Item = Piece> {
        let pairs = self.0.finals().len();
        let pieces = (pairs / PIECE).clamp(1, MAX_PIECES.min(connections));
        (0..pieces).map(move |n| {
            let range = pairs * n / pieces..pairs * (n + 1) / pieces;
            Piece { batch: self.0.clone(), range }
        })
    }

    /// The outcome of every write when the last ones of `changed` pairs have changed something.
    pub(crate) fn outcomes(&self, changed: &Changed) -> Vec<Outcome> {
        self.0.outcomes(|Write { rsvp, .. }| {
            changed.contains(&(rsvp.event.to_string(), rsvp.user.to_string()))
        })
    }
}

/// A part of the pairs of a batch, in its order.
pub(crate) struct Piece {
    batch: Arc<FoldedBatch>,
    range: Range<usize>,
}

impl Piece {
    /// Writes the piece, and says which pairs have changed.
    pub(crate) async fn write(
        self,
        session: &mut Session,
        sql: &Statements,
    ) -> sqlx::Result<Changed> {
        let mut changed = HashSet::new();
        self.write_all(session, &sql.cancel, Action::Cancel, &mut changed).await?;
        self.write_all(session, &sql.add, Action::Rsvp, &mut changed).await?;
        Ok(changed)
    }

    /// Runs `statement` with the pairs of the writes that do `action`, and adds to `changed` those
    /// that it changed.
    async fn write_all(
        &self,
        session: &mut Session,
        statement: &Statement,
        action: Action,
        changed: &mut Changed,
    ) -> sqlx::Result<()> {
        let writes = self.batch.finals().get(self.range.clone()).unwrap_or_default();
        let writes = writes.iter().filter(|write| write.action == action);
        let (events, users): (Vec<&str>, Vec<&str>) =
            writes.map(|Write { rsvp, .. }| (rsvp.event.as_str(), rsvp.user.as_str())).unzip();
        if events.is_empty() {
            return Ok(());
        }
        let query = sqlx::query_as(statement).bind(events).bind(users);
        let (events, users): (Vec<String>, Vec<String>) =
            query.fetch_one(&mut session.connection).await?;
        session.applied = true;
        changed.extend(events.into_iter().zip(users));
        Ok(())
    }
}

/// What the pieces of a batch have come to: all that changed, and a token for all of it.
///
/// # Errors
///
/// The first error, or the first that is not worth repeating: repeating the whole would fail there
/// again. After a piece that was written the effect of the whole is unknown.
pub(crate) fn together(
    pieces: Vec<Result<(Changed, SessionToken)>>,
) -> Result<(Changed, SessionToken)> {
    let untouched =
        |piece: &Result<_>| piece.as_ref().is_err_and(|error| error.effect() == Effect::NotApplied);
    let effect = if pieces.iter().all(untouched) { Effect::NotApplied } else { Effect::Unknown };
    let (mut together, mut failures) = ((HashSet::new(), SessionToken::new()), Vec::new());
    for piece in pieces {
        match piece {
            Ok((changed, token)) => {
                together.0.extend(changed);
                together.1.merge(&token);
            }
            Err(error) => failures.push(error),
        }
    }
    // The first of those that are equal.
    match failures.into_iter().min_by_key(Error::is_retryable) {
        None => Ok(together),
        Some(error) => Err(error.with_effect(effect)),
    }
}

#[cfg(test)]
mod tests {
    use rsvp_core::{EventId, Operation, UserId};

    use super::*;

    fn written(user: &str) -> Result<(Changed, SessionToken)> {
        let position = user.len() as u64;
        Ok((HashSet::from([("e".into(), user.into())]), SessionToken::at(1, position)))
    }

    fn refused() -> Error {
        Error::overloaded(Operation::Write)
    }

    #[test]
    fn pieces_together_are_the_batch_and_share_no_pair() {
        for (pairs, connections, pieces) in
            [(1, 9, 1), (1023, 9, 1), (1024, 9, 2), (5000, 9, 4), (5000, 3, 3), (5000, 1, 1)]
        {
            let write = |n: u64| Write::rsvp(UserId::from(n), EventId::from(n % 7));
            let batch = Batch::new(&(0..pairs).map(write).collect::<Vec<_>>());
            let ranges: Vec<_> = batch.pieces(connections).map(|piece| piece.range).collect();
            assert_eq!(ranges.len(), pieces, "{pairs} over {connections}");
            let all: Vec<_> = ranges.into_iter().flatten().collect();
            assert_eq!(all, (0..batch.0.finals().len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn after_a_written_piece_the_effect_of_the_whole_is_unknown() {
        for pieces in [vec![written("a"), Err(refused())], vec![Err(refused()), written("a")]] {
            assert_eq!(together(pieces).unwrap_err().effect(), Effect::Unknown);
        }
        let none = together(vec![Err(refused()), Err(refused())]).unwrap_err();
        assert_eq!(none.effect(), Effect::NotApplied);
    }

    #[test]
    fn what_is_not_worth_repeating_decides() {
        let denied = std::io::Error::other("permission denied");
        let denied = Error::backend(Operation::Write, Effect::NotApplied, false, denied);
        for pieces in [[Err(refused()), Err(denied.clone())], [Err(denied), Err(refused())]] {
            assert!(!together(pieces.into()).unwrap_err().is_retryable());
        }
    }

    #[test]
    fn what_all_pieces_changed_is_changed_and_the_token_covers_all() {
        let (changed, token) =
            together(vec![written("a"), written("bob"), written("eve")]).unwrap();
        assert_eq!((changed.len(), token), (3, SessionToken::at(1, 3)));
    }
}
