//! The repair of the count of one event.

use rsvp_core::{EventId, Operation};

use crate::sql::Statements;
use crate::wire::connection::Connection;
use crate::wire::failure::WorkError;
use crate::wire::server_session::in_transaction;
use crate::wire::work::Work;

/// Adds the missing number to an event's count.
#[derive(Clone, Debug)]
pub(super) struct RepairCount {
    pub(super) event: EventId,
}

impl Work for RepairCount {
    type Answer = ();

    fn operation(&self) -> Operation {
        Operation::Repair
    }

    async fn run(&self, connection: &mut Connection, sql: &Statements) -> Result<(), WorkError> {
        connection.changes();
        // 1. Repairs take turns, because two at once would both add the missing number. The lock
        //    has its own statement, so that the snapshot of the next one begins after it.
        sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('rsvp repair of ' || $1, 0))")
            .bind(self.event.as_str())
            .persistent(false)
            .execute(&mut connection.pg)
            .await?;
        // 2. The repair itself.
        let repair = sqlx::query(&sql.repair).bind(self.event.as_str()).persistent(false);
        repair.execute(&mut connection.pg).await?;
        Ok(())
    }

    async fn perform(
        &self,
        connection: &mut Connection,
        sql: &Statements,
    ) -> Result<(), WorkError> {
        in_transaction(self, connection, sql).await
    }
}
