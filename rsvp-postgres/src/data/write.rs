//! A batch of writes: divided into pieces over connections, and its outcomes put together again.
//!
//! A piece is one statement for its cancels and one for its RSVPs. One statement that both inserts
//! and deletes could not lock its rows in one order, and writers would deadlock.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use rsvp_core::backend::{FoldedBatch, combine};
use rsvp_core::{Action, Operation, Outcome, Result, SessionToken, Write};

use crate::sql::{Statement, Statements};
use crate::wire::connection::Connection;
use crate::wire::work::Work;

/// The fewest pairs of a piece, except of the only one. The server works on a statement with one
/// core, so a large batch goes to several connections; smaller pieces than this cost more in
/// statements and commits than they save.
const PIECE: usize = 512;

/// The most connections that one batch uses.
const MAX_PIECES: usize = 4;

/// Pairs as the server tells them: event, user.
pub(crate) type Changed = HashSet<(String, String)>;

/// Writes some of the pairs of a batch, and tells which of them have changed.
#[derive(Clone, Debug)]
pub(crate) struct WritePiece {
    batch: Arc<FoldedBatch>,
    /// The piece's part of the batch's final writes.
    range: Range<usize>,
}

impl WritePiece {
    /// A batch in pieces of about the same size, no more than there are connections. No pair is
    /// in two pieces, so they can be written in any order.
    pub(crate) fn divide(
        batch: &Arc<FoldedBatch>,
        connections: usize,
    ) -> impl Iterator<Item = Self> {
        let pairs = batch.finals().len();
        let pieces = (pairs / PIECE).clamp(1, MAX_PIECES.min(connections));
        (0..pieces).map(move |n| {
            let range = pairs * n / pieces..pairs * (n + 1) / pieces;
            Self { batch: batch.clone(), range }
        })
    }

    /// Runs `statement` with the pairs of the writes that do `action`, and adds to `changed` the
    /// pairs that it changed.
    async fn write_all(
        &self,
        connection: &mut Connection,
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
            query.fetch_one(&mut connection.pg).await?;
        connection.applied = true;
        changed.extend(events.into_iter().zip(users));
        Ok(())
    }
}

impl Work for WritePiece {
    type Answer = Changed;

    fn operation(&self) -> Operation {
        Operation::Write
    }

    async fn run(&self, connection: &mut Connection, sql: &Statements) -> sqlx::Result<Changed> {
        let mut changed = HashSet::new();
        self.write_all(connection, &sql.cancel, Action::Cancel, &mut changed).await?;
        self.write_all(connection, &sql.add, Action::Rsvp, &mut changed).await?;
        Ok(changed)
    }
}

/// The outcome of every write of a batch, when the last writes of the `changed` pairs have changed
/// something.
pub(crate) fn outcomes(batch: &FoldedBatch, changed: &Changed) -> Vec<Outcome> {
    batch.outcomes(|Write { rsvp, .. }| {
        changed.contains(&(rsvp.event.to_string(), rsvp.user.to_string()))
    })
}

/// Combines the results of a batch's pieces: the pairs that any of them changed, and one token for
/// all of it.
///
/// # Errors
///
/// The error of [`combine`]: after a piece that was written the effect of the whole is unknown.
pub(crate) fn combine_pieces(
    pieces: impl IntoIterator<Item = Result<(Changed, SessionToken)>>,
) -> Result<(Changed, SessionToken)> {
    let combined = combine(pieces)?.into_iter().reduce(|(mut changed, mut token), piece| {
        changed.extend(piece.0);
        token.merge(&piece.1);
        (changed, token)
    });
    Ok(combined.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use rsvp_core::{Effect, Error, EventId, UserId};

    use super::*;

    fn written(user: &str) -> Result<(Changed, SessionToken)> {
        let position = user.len() as u64;
        Ok((HashSet::from([("e".into(), user.into())]), SessionToken::at(1, position)))
    }

    fn refused() -> Error {
        Error::overloaded(Operation::Write)
    }

    #[test]
    fn all_pieces_make_the_batch_and_share_no_pair() {
        for (pairs, connections, expected) in
            [(1, 9, 1), (1023, 9, 1), (1024, 9, 2), (5000, 9, 4), (5000, 3, 3), (5000, 1, 1)]
        {
            let write = |n: u64| Write::rsvp(UserId::from(n), EventId::from(n % 7));
            let writes: Vec<_> = (0..pairs).map(write).collect();
            let batch = Arc::new(FoldedBatch::new(&writes));
            let pieces = WritePiece::divide(&batch, connections);
            let ranges: Vec<_> = pieces.map(|piece| piece.range).collect();
            assert_eq!(ranges.len(), expected, "{pairs} over {connections}");
            let all: Vec<_> = ranges.into_iter().flatten().collect();
            assert_eq!(all, (0..batch.finals().len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn after_a_written_piece_the_effect_of_the_whole_is_unknown() {
        for pieces in [vec![written("a"), Err(refused())], vec![Err(refused()), written("a")]] {
            assert_eq!(combine_pieces(pieces).unwrap_err().effect(), Effect::Unknown);
        }
        let none = combine_pieces(vec![Err(refused()), Err(refused())]).unwrap_err();
        assert_eq!(none.effect(), Effect::NotApplied);
    }

    #[test]
    fn an_error_that_is_not_retryable_decides() {
        let denied = std::io::Error::other("permission denied");
        let denied = Error::backend(Operation::Write, Effect::NotApplied, false, denied);
        for pieces in [[Err(refused()), Err(denied.clone())], [Err(denied), Err(refused())]] {
            assert!(!combine_pieces(pieces).unwrap_err().is_retryable());
        }
    }

    #[test]
    fn changes_of_all_pieces_are_changes_and_the_token_covers_all() {
        let (changed, token) =
            combine_pieces(vec![written("a"), written("bob"), written("eve")]).unwrap();
        assert_eq!((changed.len(), token), (3, SessionToken::at(1, 3)));
    }
}
