//! The trait of all calls, each a kind of work on a connection.

use rsvp_core::Operation;

use super::connection::Connection;
use super::failure::WorkError;
use super::server_session::in_session;
use super::write_set::WriteSet;
use crate::sql::Statements;

/// The statements of one kind of call, with their arguments.
///
/// The pool runs a work on its own task.
/// Clones are cheap, because a work is cloned to be tried on a replica.
///
/// A statement that changes something runs by [`Connection::change`],
/// so that the pool knows of a missing answer.
/// A work of several changes sets [`Connection::applied`] after each of them.
/// The failure of a later change does not undo the earlier ones.
pub(crate) trait Work: Clone + Send + Sync + 'static {
    /// The answer of the statements.
    type Answer: Send + 'static;

    /// Returns the operation, as errors name it.
    fn operation(&self) -> Operation;

    /// Returns the data that the work changes. Defaults to nothing.
    fn write_set(&self) -> WriteSet {
        WriteSet::default()
    }

    /// Runs the statements, in a session with the settings of the store.
    fn run(
        &self,
        connection: &mut Connection,
        sql: &Statements,
    ) -> impl Future<Output = Result<Self::Answer, WorkError>> + Send;

    /// Gets a session and runs the statements there.
    /// Defaults to one session for all of them. In a session lent by a pooler, they are one
    /// transaction.
    fn perform(
        &self,
        connection: &mut Connection,
        sql: &Statements,
    ) -> impl Future<Output = Result<Self::Answer, WorkError>> + Send {
        in_session(self, connection, sql)
    }
}
