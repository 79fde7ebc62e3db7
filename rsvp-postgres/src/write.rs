//! A batch of writes: divided over connections, and its outcomes put together again.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use rsvp_core::{Action, Effect, FoldedBatch, Outcome, Result, SessionToken, Write};

use crate::session::Session;
use crate::sql::{Statement, Statements};

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

    /// The batch in pieces of about the same size. No pair is in two, so they can be written in
    /// any order.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Piece> {
        let pairs = self.0.finals().len();
        let pieces = (pairs / PIECE).clamp(1, MAX_PIECES);
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
/// The first error. After a piece that was written the effect of the whole is unknown.
pub(crate) fn together(
    pieces: Vec<Result<(Changed, SessionToken)>>,
) -> Result<(Changed, SessionToken)> {
    let untouched =
        |piece: &Result<_>| piece.as_ref().is_err_and(|error| error.effect() == Effect::NotApplied);
    let effect = if pieces.iter().all(untouched) { Effect::NotApplied } else { Effect::Unknown };
    let mut together = (HashSet::new(), SessionToken::new());
    for piece in pieces {
        let (changed, token) = piece.map_err(|error| error.with_effect(effect))?;
        together.0.extend(changed);
        together.1.merge(&token);
    }
    Ok(together)
}
