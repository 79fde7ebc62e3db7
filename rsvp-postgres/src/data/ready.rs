//! The probe of whether the server accepts writes.

use rsvp_core::Operation;

use crate::sql::Statements;
use crate::wire::connection::Connection;
use crate::wire::failure::WorkError;
use crate::wire::work::Work;

/// Writes to the table `readiness`. A demoted primary refuses the write.
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
