//! A read on a replica, run only if the replica has replayed enough of the log.

use rsvp_core::Operation;

use super::connection::Connection;
use super::failure::WorkError;
use super::lsn::{Position, Timeline, Watermark};
use super::work::Work;
use crate::sql::Statements;

/// Asks a server for its position in its log, written or replayed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CurrentWatermark {
    /// The operation of the call behind it.
    pub(crate) operation: Operation,
}

impl Work for CurrentWatermark {
    type Answer = (Timeline, Position);

    fn operation(&self) -> Operation {
        self.operation
    }

    async fn run(
        &self,
        connection: &mut Connection,
        _: &Statements,
    ) -> Result<Self::Answer, WorkError> {
        Ok((connection.timeline, connection.watermark().await?.position))
    }
}

/// Runs `work` on a replica, if the replica has replayed the log up to `watermark`.
#[derive(Clone, Debug)]
pub(crate) struct IfReplayed<W> {
    pub(crate) work: W,
    pub(crate) watermark: Watermark,
}

/// Records the timeline of a primary in its tables. A replica with the record has reached it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordTimeline {
    /// The operation of the call behind it.
    pub(crate) operation: Operation,
}

impl Work for RecordTimeline {
    type Answer = ();

    fn operation(&self) -> Operation {
        self.operation
    }

    async fn run(&self, connection: &mut Connection, sql: &Statements) -> Result<(), WorkError> {
        let number = connection.timeline.number.cast_signed();
        let query = sqlx::query(&sql.record_timeline).bind(number);
        let query = query.persistent(connection.keeps_statements());
        query.execute(&mut connection.pg).await?;
        Ok(())
    }
}

/// The answer of a replica to a read with a watermark.
#[derive(Debug)]
pub(crate) enum Replica<T> {
    Answered(Replayed<T>),
    /// It has not replayed enough.
    Behind,
    /// It follows a primary of an earlier timeline, or has not replayed the record of the later
    /// timeline.
    OnEarlierTimeline,
    /// It is of another cluster.
    OfAnotherLog,
}

/// An answer of a replica, and the replayed watermark behind it.
#[derive(Debug)]
pub(crate) struct Replayed<T> {
    pub(crate) answer: T,
    pub(crate) watermark: Watermark,
}

impl<W: Work> Work for IfReplayed<W> {
    type Answer = Replica<W::Answer>;

    fn operation(&self) -> Operation {
        self.work.operation()
    }

    async fn run(
        &self,
        connection: &mut Connection,
        sql: &Statements,
    ) -> Result<Self::Answer, WorkError> {
        let Watermark { log, position: needed } = self.watermark;
        // 1. Positions in another log cannot be compared.
        if connection.timeline.log() != log {
            connection.stale = true;
            return Ok(Replica::OfAnotherLog);
        }
        // 2. After a promotion, a standby without a restart shows its old timeline for minutes. But
        //    it replays the new primary's record of the new timeline.
        if connection.timeline.number < needed.timeline() {
            let recorded = sqlx::query_scalar(&sql.recorded_timeline);
            let recorded = recorded.persistent(connection.keeps_statements());
            let recorded: Option<i64> = recorded.fetch_optional(&mut connection.pg).await?;
            let recorded = recorded.map_or(0, i64::cast_unsigned);
            connection.timeline.number = connection.timeline.number.max(recorded);
        }
        if connection.timeline.number < needed.timeline() {
            return Ok(Replica::OnEarlierTimeline);
        }
        // 3. The LSN is asked for only if the known one is not enough. It comes before the read,
        //    because a statement sees everything replayed before its beginning.
        let replayed = match connection.replayed {
            Some(replayed) if replayed >= needed => replayed,
            _ => connection.watermark().await?.position,
        };
        connection.replayed = Some(replayed);
        if replayed < needed {
            return Ok(Replica::Behind);
        }
        // 4. The read itself.
        let answer = self.work.run(connection, sql).await?;
        Ok(Replica::Answered(Replayed { answer, watermark: Watermark { log, position: replayed } }))
    }
}
