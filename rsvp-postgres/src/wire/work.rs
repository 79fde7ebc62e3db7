//! The one way of a call: a kind of work, run on a connection.

use rsvp_core::Operation;

use super::connection::Connection;
use crate::sql::Statements;

/// The statements that one kind of call runs on a connection, with their arguments.
///
/// The pool runs a work on a task of its own. A work is cloned to be
/// tried on a replica first, so clones are cheap. A work of several statements that change
/// something sets [`Connection::applied`] after each, because the failure of a later one does not
/// undo the earlier ones.
pub(crate) trait Work: Clone + Send + Sync + 'static {
    /// The answer that the statements give.
    type Answer: Send + 'static;

    /// The operation that errors name.
    fn operation(&self) -> Operation;

    /// Runs the statements.
    fn run(
        &self,
        connection: &mut Connection,
        sql: &Statements,
    ) -> impl Future<Output = sqlx::Result<Self::Answer>> + Send;
}
