//! The one way of a call: a kind of work, run on a connection.

use rsvp_core::Operation;

use super::connection::Connection;
use super::failure::WorkError;
use super::footprint::Footprint;
use super::session::in_session;
use crate::sql::Statements;

/// The statements that one kind of call runs on a connection, with their arguments.
///
/// The pool runs a work on a task of its own. A work is cloned to be tried on a replica first, so
/// clones are cheap. Statements that change something run by [`Connection::change`], so that the
/// pool knows whether one is without an answer. A work of several of them sets
/// [`Connection::applied`] after each, because the failure of a later one does not undo the earlier
/// ones.
pub(crate) trait Work: Clone + Send + Sync + 'static {
    /// The answer that the statements give.
    type Answer: Send + 'static;

    /// The operation that errors name.
    fn operation(&self) -> Operation;

    /// The part of the store that the work may change. Defaults to nothing.
    fn footprint(&self) -> Footprint {
        Footprint::default()
    }

    /// Runs the statements, in a session with the settings of the store.
    fn run(
        &self,
        connection: &mut Connection,
        sql: &Statements,
    ) -> impl Future<Output = Result<Self::Answer, WorkError>> + Send;

    /// Gets a session and runs the statements there. Defaults to one session for all of them, which
    /// is one transaction if a pooler lends it.
    fn perform(
        &self,
        connection: &mut Connection,
        sql: &Statements,
    ) -> impl Future<Output = Result<Self::Answer, WorkError>> + Send {
        in_session(self, connection, sql)
    }
}
