//! Work that changes something, answered with the session token of the change.

use rsvp_core::{Operation, SessionToken};

use super::connection::Connection;
use super::lsn::{Lsn, Watermark};
use super::work::Work;
use crate::sql::Statements;

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

    async fn run(
        &self,
        connection: &mut Connection,
        sql: &Statements,
    ) -> sqlx::Result<Self::Answer> {
        let answer = self.work.run(connection, sql).await?;
        connection.applied = true;
        // An LSN is behind the commit only if it is asked for after the commit.
        let watermark = if self.asks_lsn {
            connection.watermark().await?
        } else {
            Watermark { log: connection.log, lsn: Lsn::PRIMARY_ONLY }
        };
        Ok((answer, watermark.token()))
    }
}
