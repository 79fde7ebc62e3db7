//! The work of a reader for a call.

use rsvp_core::{Effect, Operation};
use rusqlite::Connection;

use crate::wire::call::Ticket;
use crate::wire::failure::{Failure, concerns_a_page, needs_new_connection};

/// A call that only reads.
pub(crate) trait Read: Send + 'static {
    type Answer: Send + 'static;

    fn operation(&self) -> Operation;

    /// Reads within a transaction. Other calls may share it.
    ///
    /// # Errors
    ///
    /// An error of SQLite, or corrupt data.
    fn read(&self, connection: &Connection) -> Result<Self::Answer, Failure>;
}

/// The state of a connection after a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Good,
    Doubtful,
}

/// A read of any kind, with its caller.
pub(crate) trait ReadJob: Send {
    /// Reads and answers, unless the caller has gone away.
    fn run(self: Box<Self>, connection: &Connection) -> Health;

    /// Gives the caller an error.
    fn fail(self: Box<Self>, failure: Failure);
}

/// A read with its caller.
pub(crate) struct PendingRead<R: Read> {
    pub(crate) read: R,
    pub(crate) ticket: Ticket<R::Answer>,
}

impl<R: Read> ReadJob for PendingRead<R> {
    fn run(self: Box<Self>, connection: &Connection) -> Health {
        let Self { read, ticket } = *self;
        // A call without a caller is skipped, and tells nothing about the connection.
        let Some(ticket) = ticket.begin() else { return Health::Good };
        let answer = read.read(connection);
        let health = match &answer {
            Err(Failure::Engine(error)) if needs_new_connection(error) => Health::Doubtful,
            _ => Health::Good,
        };
        let error = |failure: Failure| failure.into_error(read.operation(), Effect::NotApplied);
        ticket.answer(answer.map_err(error));
        health
    }

    fn fail(self: Box<Self>, failure: Failure) {
        let operation = self.read.operation();
        self.ticket.answer(Err(failure.into_error(operation, Effect::NotApplied)));
    }
}

/// Returns the answer to one entry of a batch.
/// A damaged page fails only the entries that need it. Any other failure fails the whole batch.
pub(super) fn own_answer<A>(
    operation: Operation,
    answer: rusqlite::Result<A>,
) -> Result<rsvp_core::Result<A>, Failure> {
    match answer {
        Ok(answer) => Ok(Ok(answer)),
        Err(error) if concerns_a_page(&error) => {
            Ok(Err(Failure::from(error).into_error(operation, Effect::NotApplied)))
        }
        Err(error) => Err(error.into()),
    }
}
