//! An open connection, with the state of its server and of its present call.

use std::time::Duration;

use sqlx::FromRow;
use sqlx::postgres::{PgArguments, PgConnection, PgRow, Postgres};
use sqlx::query::QueryAs;
use tokio::time::Instant;

use super::backend_process::{Backend, RunningOn};
use super::failure::{WorkError, is_answer};
use super::lsn::{Position, Timeline, Watermark};
use super::server_clock::ServerClock;
use super::server_session::{Session, ask};

/// Discards the plans, and returns the server's clock in microseconds since 1970.
const RENEW: &str = include_str!("../sql/renew.sql");

/// An open connection, used by one call at a time.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The driver's connection for statements.
    pub(crate) pg: PgConnection,
    /// The timeline of the server's log.
    pub(crate) timeline: Timeline,
    /// The server is read-only, by its last answer.
    pub(crate) read_only: bool,
    /// The server's process.
    pub(crate) running_on: RunningOn,
    /// How its statements get a session.
    pub(crate) session: Session,
    /// The server's clock.
    clock: ServerClock,
    /// The position that the server is known to have replayed.
    pub(crate) replayed: Option<Position>,
    /// The connector's generation when it was opened.
    pub(crate) generation: u64,
    /// The connector's suspicions when it last answered.
    pub(crate) suspicions: u64,
    /// A call is using it, or left it in an unknown state.
    pub(crate) in_use: bool,
    /// It must not be used again, because its state or its server's log is in doubt.
    pub(crate) stale: bool,
    /// A statement of the present call has taken effect.
    pub(crate) applied: bool,
    /// A change of the present call was sent, and has no answer yet.
    pub(crate) unanswered: bool,
    /// A change of the present call was sent.
    pub(crate) changed: bool,
    /// The last change of the present call waited for a synchronous standby.
    pub(crate) synchronous: bool,
    /// The latest moment at which a change of the present call may begin.
    begin_by: Instant,
    /// The longest wait for a lock of a statement of the present call.
    lock_timeout: Duration,
}

impl Connection {
    /// Makes an unused connection to a server on `timeline`.
    pub(crate) fn new(
        pg: PgConnection,
        timeline: Timeline,
        backend: Backend,
        session: Session,
        clock: ServerClock,
    ) -> Self {
        Self {
            pg,
            timeline,
            read_only: false,
            // A process lent by a pooler is given back by now.
            running_on: RunningOn::new(Some(backend).filter(|_| !session.is_lent())),
            session,
            clock,
            replayed: None,
            generation: 0,
            suspicions: 0,
            in_use: false,
            stale: false,
            applied: false,
            unanswered: false,
            changed: false,
            synchronous: false,
            begin_by: Instant::now(),
            lock_timeout: Duration::ZERO,
        }
    }

    /// Begins a call. Its changes must begin by `begin_by`, and wait for a lock for at most
    /// `lock_timeout`. The connection is not used again unless the call ends well.
    pub(crate) fn begin(&mut self, begin_by: Instant, lock_timeout: Duration) {
        self.in_use = true;
        self.applied = false;
        self.unanswered = false;
        self.changed = false;
        self.synchronous = false;
        self.begin_by = begin_by;
        self.lock_timeout = lock_timeout;
    }

    /// Returns the latest server time at which a change of the present call may begin, in
    /// microseconds since 1970. It is an argument of every statement that changes something.
    pub(crate) fn latest_begin(&self) -> i64 {
        self.clock.at(self.begin_by)
    }

    /// Returns the longest wait for a lock of the next statement, at most `most`, as a setting of
    /// the server. It leaves a part of the call's time, so that the server's answer is in time.
    pub(crate) fn lock_timeout(&self, most: Duration) -> String {
        let left = self.begin_by.saturating_duration_since(Instant::now());
        let longest = self.lock_timeout.min(most).min(left * 3 / 4);
        // Zero would mean no limit.
        longest.as_millis().max(1).to_string()
    }

    /// Takes the first columns of a change's answer. They tell whether it began in time,
    /// and whether its commit waited for a synchronous standby.
    ///
    /// # Errors
    ///
    /// [`WorkError::TooLate`] if it did not begin in time.
    pub(crate) fn take_turn(&mut self, in_time: bool, synchronous: bool) -> Result<(), WorkError> {
        self.synchronous = synchronous;
        if in_time { Ok(()) } else { Err(WorkError::TooLate) }
    }

    /// Whether changes of the present call may still begin.
    pub(crate) fn may_begin(&self) -> bool {
        Instant::now() < self.begin_by
    }

    /// Runs a statement that changes something, and returns its one row.
    pub(crate) async fn change<'q, R>(
        &mut self,
        query: QueryAs<'q, Postgres, R, PgArguments>,
    ) -> sqlx::Result<R>
    where
        R: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        // Set before it is sent, because the caller may give up at any moment of the wait.
        self.unanswered = true;
        self.changed = true;
        let answer = query.persistent(self.keeps_statements()).fetch_one(&mut self.pg).await;
        self.unanswered = !is_answer(&answer);
        answer
    }

    /// Records a change in a transaction. Its effect is open until
    /// [`end_transaction`](Self::end_transaction).
    pub(crate) fn changes(&mut self) {
        self.unanswered = true;
        self.changed = true;
    }

    /// Records the answer to the commit of a transaction.
    pub(crate) fn end_transaction<T>(&mut self, answer: sqlx::Result<T>) -> sqlx::Result<T> {
        self.unanswered = !is_answer(&answer);
        answer
    }

    /// Whether a prepared statement can be used again. A lent session may be another one for the
    /// next transaction, without the statement.
    pub(crate) fn keeps_statements(&self) -> bool {
        !self.session.is_lent()
    }

    /// Records the process of the present transaction, and its clock.
    pub(crate) fn begin_on(&mut self, backend: Backend, clock: ServerClock) {
        self.running_on.set(Some(backend));
        self.clock = clock;
    }

    /// Asks for the server's position in its log, written or replayed.
    pub(crate) async fn watermark(&mut self) -> sqlx::Result<Watermark> {
        let position = Position::current(&mut self.pg, self.timeline).await?;
        Ok(Watermark { log: self.timeline.log(), position })
    }

    /// Reads the server's clock again, because clocks drift. In the same round trip it lets the server
    /// make the plans of the prepared statements again, because tables grow.
    ///
    /// A plan stays until the next analysis of its tables. One that was made for empty tables may
    /// read whole tables.
    pub(crate) async fn renew(&mut self) -> sqlx::Result<()> {
        let (micros,) = ask(&mut self.pg, RENEW.to_owned()).await?;
        self.clock = ServerClock::just_read(micros);
        Ok(())
    }

    /// Returns the last reading of the server's clock.
    pub(crate) fn clock(&self) -> ServerClock {
        self.clock
    }
}
