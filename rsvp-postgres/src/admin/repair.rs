//! Correcting the count of one event.

use rsvp_core::{EventId, Operation};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use crate::sql::Statements;
use crate::wire::connection::Connection;
use crate::wire::failure::WorkError;
use crate::wire::work::Work;

/// Adds to an event's count the number by which it differs from the rows.
#[derive(Clone, Debug)]
pub(super) struct RepairCount {
    pub(super) event: EventId,
}

impl Work for RepairCount {
    type Answer = ();

    fn operation(&self) -> Operation {
        Operation::Repair
    }

    /// Two repairs at once would both add the missing number, so they take turns. The lock is taken
    /// in a statement of its own, before the statement whose snapshot decides.
    async fn run(&self, connection: &mut Connection, sql: &Statements) -> Result<(), WorkError> {
        connection.begin_transaction();
        let answer = self.repair(&mut connection.pg, sql).await;
        Ok(connection.end_transaction(answer)?)
    }
}

impl RepairCount {
    async fn repair(&self, pg: &mut PgConnection, sql: &Statements) -> sqlx::Result<()> {
        let mut transaction = pg.begin().await?;
        sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('rsvp repair of ' || $1, 0))")
            .bind(self.event.as_str())
            .execute(&mut *transaction)
            .await?;
        sqlx::query(&sql.repair).bind(self.event.as_str()).execute(&mut *transaction).await?;
        transaction.commit().await
    }
}
