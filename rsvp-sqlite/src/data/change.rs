//! The work of the writer for a call.

use rsvp_core::{Effect, Error, Operation, Result};
use rusqlite::Connection;

use super::names::Changes;
use crate::wire::call::Ticket;
use crate::wire::failure::{Failure, concerns_an_entry};

/// How a transaction treats an entry that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Care {
    /// The transaction is rolled back, and repeated with [`EachAlone`](Self::EachAlone).
    None,
    /// The entry alone is rolled back. This costs a savepoint for each entry.
    EachAlone,
}

/// A call that changes rows.
///
/// It may be applied several times, in several transactions. Only the last one is committed.
pub(crate) trait Change: Send + 'static {
    type Answer: Send + 'static;

    fn operation(&self) -> Operation;

    /// # Errors
    ///
    /// An error of SQLite. If it [concerns an entry](concerns_an_entry), others can still succeed.
    fn apply(
        &self,
        changes: &mut Changes<'_>,
        care: Care,
    ) -> std::result::Result<Self::Answer, Failure>;
}

/// A change of any kind, with its caller.
pub(crate) trait Job: Send {
    /// Begins the call. Returns `None` if nobody waits for it.
    fn begin(self: Box<Self>) -> Option<Box<dyn Job>>;

    /// Applies the change, and keeps its answer for the end of the transaction.
    ///
    /// # Errors
    ///
    /// An error of SQLite, if the transaction cannot continue.
    fn apply(&mut self, changes: &mut Changes<'_>, care: Care) -> rusqlite::Result<()>;

    /// Gives the caller the answer, after the commit of the transaction.
    fn finish(self: Box<Self>);

    /// Gives the caller an error, with the effect of the transaction.
    fn fail(self: Box<Self>, effect: Effect, error: &dyn Fn(Operation, Effect) -> Error);
}

/// A change with its caller, and its answer once it is applied.
pub(crate) struct Pending<C: Change> {
    change: C,
    ticket: Ticket<C::Answer>,
    answer: Option<Result<C::Answer>>,
}

impl<C: Change> Pending<C> {
    pub(crate) fn new(change: C, ticket: Ticket<C::Answer>) -> Self {
        Self { change, ticket, answer: None }
    }
}

impl<C: Change> Job for Pending<C> {
    fn begin(self: Box<Self>) -> Option<Box<dyn Job>> {
        let Self { change, ticket, answer } = *self;
        Some(Box::new(Self { change, ticket: ticket.begin()?, answer }))
    }

    fn apply(&mut self, changes: &mut Changes<'_>, care: Care) -> rusqlite::Result<()> {
        let applied = match care {
            Care::None => self.change.apply(changes, care),
            Care::EachAlone => alone(changes, |changes| self.change.apply(changes, care)),
        };
        let failure = match applied {
            Ok(answer) => {
                // The answer of an earlier, rolled back transaction is overwritten.
                self.answer = Some(Ok(answer));
                return Ok(());
            }
            Err(Failure::Engine(error)) if care == Care::None || !concerns_an_entry(&error) => {
                return Err(error);
            }
            Err(failure) => failure,
        };
        // The failure concerns this change only, so the transaction continues without it.
        let operation = self.change.operation();
        self.answer = Some(Err(failure.into_error(operation, Effect::NotApplied)));
        Ok(())
    }

    fn finish(self: Box<Self>) {
        let operation = self.ticket.operation();
        let none = || Err(Error::unavailable(operation, Effect::Unknown, None));
        self.ticket.answer(self.answer.unwrap_or_else(none));
    }

    fn fail(self: Box<Self>, effect: Effect, error: &dyn Fn(Operation, Effect) -> Error) {
        let error = error(self.ticket.operation(), effect);
        self.ticket.answer(Err(error));
    }
}

/// Applies a change in a savepoint, and rolls back to it if the change fails.
pub(super) fn alone<A>(
    changes: &mut Changes<'_>,
    apply: impl FnOnce(&mut Changes<'_>) -> std::result::Result<A, Failure>,
) -> std::result::Result<A, Failure> {
    let connection: &Connection = changes.connection();
    connection.prepare_cached("SAVEPOINT alone")?.execute([])?;
    let applied = apply(changes).and_then(|answer| {
        // Counts and names are written within the savepoint, so that a rollback covers them.
        changes.flush()?;
        Ok(answer)
    });
    if applied.is_err() {
        changes.forget();
        // Some failures make SQLite roll back the whole transaction, and the savepoint is gone.
        if connection.is_autocommit() {
            return applied;
        }
        connection.prepare_cached("ROLLBACK TO alone")?.execute([])?;
    }
    connection.prepare_cached("RELEASE alone")?.execute([])?;
    applied
}
