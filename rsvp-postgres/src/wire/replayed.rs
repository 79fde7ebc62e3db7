//! Work that depends on how far a server has replayed its log.

use rsvp_core::Operation;

use super::connection::Connection;
use super::failure::WorkError;
use super::lsn::Watermark;
use super::work::Work;
use crate::sql::Statements;

/// Asks a server how far it has written or replayed its log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CurrentWatermark {
    /// The operation of the call on whose behalf it asks.
    pub(crate) operation: Operation,
}

impl Work for CurrentWatermark {
    type Answer = Watermark;

    fn operation(&self) -> Operation {
        self.operation
    }

    async fn run(
        &self,
        connection: &mut Connection,
        _: &Statements,
    ) -> Result<Watermark, WorkError> {
        Ok(connection.watermark().await?)
    }
}

/// Runs `work` on a replica, if the replica has replayed the log up to `watermark`.
#[derive(Clone, Debug)]
pub(crate) struct IfReplayed<W> {
    pub(crate) work: W,
    pub(crate) watermark: Watermark,
}

/// An answer of a replica, and how far the replica had replayed the log when it gave the answer.
#[derive(Debug)]
pub(crate) struct Replayed<T> {
    pub(crate) answer: T,
    pub(crate) watermark: Watermark,
}

impl<W: Work> Work for IfReplayed<W> {
    /// Nothing if the replica has not replayed enough.
    type Answer = Option<Replayed<W::Answer>>;

    fn operation(&self) -> Operation {
        self.work.operation()
    }

    async fn run(
        &self,
        connection: &mut Connection,
        sql: &Statements,
    ) -> Result<Self::Answer, WorkError> {
        let Watermark { log, lsn: needed } = self.watermark;
        // 1. LSNs of another log cannot be compared.
        if connection.log != log {
            // The replica may follow another timeline by now; only a new connection asks.
            connection.stale = true;
            return Ok(None);
        }
        // 2. The LSN is asked for only if the known one is not enough, and before the read: a
        //    statement sees at least all that was replayed when it began.
        let replayed = match connection.replayed {
            Some(replayed) if replayed >= needed => replayed,
            _ => connection.watermark().await?.lsn,
        };
        connection.replayed = Some(replayed);
        if replayed < needed {
            return Ok(None);
        }
        // 3. The read itself.
        let answer = self.work.run(connection, sql).await?;
        Ok(Some(Replayed { answer, watermark: Watermark { log, lsn: replayed } }))
    }
}
