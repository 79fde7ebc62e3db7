//! Whether a write would be accepted.

use rsvp_core::Operation;

use crate::sql::Statements;
use crate::wire::connection::Connection;
use crate::wire::failure::WorkError;
use crate::wire::work::Work;

/// Writes to a table of its own, which a demoted primary refuses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready;

impl Work for Ready {
    type Answer = ();

    fn operation(&self) -> Operation {
        Operation::Ready
    }

    async fn run(&self, connection: &mut Connection, sql: &Statements) -> Result<(), WorkError> {
        let query = sqlx::query(&sql.ready).persistent(connection.keeps_statements());
        query.execute(&mut connection.pg).await?;
        Ok(())
    }
}
