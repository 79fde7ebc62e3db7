//! Work that changes something, answered with the session token of the change.

use std::time::Duration;

use rsvp_core::{Operation, SessionToken};
use sqlx::raw_sql;
use tokio::time::Instant;

use super::connection::Connection;
use super::failure::WorkError;
use super::footprint::Footprint;
use super::work::Work;
use crate::sql::Statements;

/// A change whose commit has waited for a synchronous standby for longer than this is confirmed by
/// another commit. Somebody may have cancelled the wait: then the server answers with success and a
/// warning that the driver does not pass on.
const UNSUSPICIOUS: Duration = Duration::from_millis(200);

/// Runs `work`, and then learns where in the log its changes are.
#[derive(Clone, Debug)]
pub(crate) struct Commit<W> {
    pub(crate) work: W,
    /// Whether to ask for the LSN, which costs a round trip and is useful only to readers of
    /// replicas.
    pub(crate) asks_lsn: bool,
}

impl<W: Work> Work for Commit<W> {
    type Answer = (W::Answer, SessionToken);

    fn operation(&self) -> Operation {
        self.work.operation()
    }

    fn footprint(&self) -> Footprint {
        self.work.footprint()
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
        // 2. The synchronous standby has the change if a later commit has not waited long for it.
        while connection.synchronous && began.elapsed() > UNSUSPICIOUS {
            if !connection.may_begin() {
                return Err(WorkError::TooLate);
            }
            began = Instant::now();
            connection.changes();
            let confirmed = raw_sql(&sql.confirm).execute(&mut connection.pg).await;
            connection.end_transaction(confirmed)?;
        }
        // 3. An LSN is behind the commit only if it is asked for after the commit. A change whose
        //    LSN could not be had is acknowledged all the same, and seen on the primary.
        let primary_only = connection.timeline.primary_only();
        if !self.asks_lsn {
            return Ok((answer, primary_only.token()));
        }
        let watermark = connection.watermark().await;
        connection.stale |= watermark.is_err();
        Ok((answer, watermark.unwrap_or(primary_only).token()))
    }

    /// The change has a session of its own: the LSN is asked for after its commit.
    async fn perform(
        &self,
        connection: &mut Connection,
        sql: &Statements,
    ) -> Result<Self::Answer, WorkError> {
        self.run(connection, sql).await
    }
}
