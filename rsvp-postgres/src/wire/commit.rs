//! A change with its session token.

use std::time::Duration;

use rsvp_core::{Operation, SessionToken};
use sqlx::raw_sql;
use tokio::time::Instant;

use super::connection::Connection;
use super::failure::WorkError;
use super::work::Work;
use super::write_set::WriteSet;
use crate::sql::Statements;

/// If a commit waits longer than this for a synchronous standby, another commit confirms it.
/// Somebody may have cancelled the wait. The server then answers with success and a warning,
/// but the driver does not pass on the warning.
const UNSUSPICIOUS: Duration = Duration::from_millis(200);

/// Runs `work`, and then reads the position of its changes in the log.
#[derive(Clone, Debug)]
pub(crate) struct Commit<W> {
    pub(crate) work: W,
    /// Whether to ask for the LSN. It costs a round trip, and only readers of replicas need it.
    pub(crate) asks_lsn: bool,
}

impl<W: Work> Work for Commit<W> {
    type Answer = (W::Answer, SessionToken);

    fn operation(&self) -> Operation {
        self.work.operation()
    }

    fn write_set(&self) -> WriteSet {
        self.work.write_set()
    }

    async fn run(
        &self,
        connection: &mut Connection,
        sql: &Statements,
    ) -> Result<Self::Answer, WorkError> {
        // 1. The change itself.
        let mut began = Instant::now();
        let answer = self.work.perform(connection, sql).await?;
        connection.applied = true;
        // 2. The confirmation. The synchronous standby has the change if a later commit did not
        //    wait long.
        while connection.synchronous && began.elapsed() > UNSUSPICIOUS {
            if !connection.may_begin() {
                return Err(WorkError::TooLate);
            }
            began = Instant::now();
            connection.changes();
            let confirmed = raw_sql(&sql.confirm).execute(&mut connection.pg).await;
            connection.end_transaction(confirmed)?;
        }
        // 3. The LSN, asked for after the commit, so that it is behind it. Without an LSN the
        //    change is acknowledged all the same, and readers with its token ask the primary.
        let primary_only = connection.timeline.primary_only();
        if !self.asks_lsn {
            return Ok((answer, primary_only.token()));
        }
        let watermark = connection.watermark().await;
        connection.stale |= watermark.is_err();
        Ok((answer, watermark.unwrap_or(primary_only).token()))
    }

    /// The change has its own session, because the LSN is asked for after its commit.
    async fn perform(
        &self,
        connection: &mut Connection,
        sql: &Statements,
    ) -> Result<Self::Answer, WorkError> {
        self.run(connection, sql).await
    }
}
