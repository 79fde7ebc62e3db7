//! A pool of connections, and the run of a call's work on one of them.
//!
//! A work is run to its end even if the caller goes away or the server falls silent.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{Object, Pool as ManagedPool, Timeouts};
use futures_util::future::join_all;
use rsvp_core::backend::run_to_end;
use rsvp_core::{Deadline, Effect, Error, Operation, Result, SessionToken};
use sqlx::Connection as _;
use tokio::time::{Instant, timeout, timeout_at};

use super::bulkheads::{Bulkheads, Place};
use super::call_schedule::{GRACE, Schedule};
use super::caller_presence::Caller;
use super::connector::Connector;
use super::control_connection::ControlConnection;
use super::failure::{commits, no_connection, outdated_hosts};
use super::lsn::{Position, Timeline};
use super::shutdown_gate::{Entered, Gate};
use super::work::Work;
use super::write_set::WriteSet;
use crate::config::PostgresConfig;
use crate::sql::Statements;

/// The most reads that may wait for a connection. One more is refused at once.
const MAX_WAITING: usize = 16_384;

/// The limits of a pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The most connections.
    pub(crate) size: usize,
    /// The longest wait of a call for a free connection.
    pub(crate) acquire_timeout: Duration,
    /// The longest time of a statement.
    pub(crate) statement_timeout: Duration,
    /// The longest wait of a statement for a lock.
    pub(crate) lock_timeout: Duration,
    /// Whether the server cancels a call when its caller goes away, because it may take long.
    pub(crate) cancels_dropped: bool,
}

impl From<&PostgresConfig> for Limits {
    fn from(config: &PostgresConfig) -> Self {
        Self {
            size: config.pool_size,
            acquire_timeout: config.acquire_timeout,
            statement_timeout: config.statement_timeout,
            lock_timeout: config.lock_timeout,
            cancels_dropped: false,
        }
    }
}

/// A bounded number of connections of one role.
#[derive(Clone)]
pub(crate) struct Pool {
    pub(super) pool: ManagedPool<Connector>,
    pub(super) control: Arc<ControlConnection>,
    gate: Gate,
    pub(super) bulkheads: Bulkheads,
    pub(super) sql: Arc<Statements>,
    pub(super) limits: Limits,
}

impl Pool {
    pub(crate) fn new(connector: Connector, limits: Limits, sql: &Arc<Statements>) -> Result<Self> {
        let timeouts = Timeouts {
            wait: Some(limits.acquire_timeout),
            // The connector itself bounds each attempt at a host, and each test of a connection.
            create: None,
            recycle: None,
        };
        let gate = Gate::default();
        let control = ControlConnection::new(connector.for_control(), gate.clone());
        let pool = ManagedPool::builder(connector)
            .max_size(limits.size)
            .timeouts(timeouts)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| Error::backend(Operation::Open, Effect::NotApplied, false, error))?;
        let bulkheads = Bulkheads::new(limits.size);
        Ok(Self { pool, control, gate, bulkheads, sql: sql.clone(), limits })
    }

    /// Lets a call of several works in, for [`run_within`](Self::run_within).
    /// Refuses a call after its deadline, and every call once the pool is closed.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] or [`Error::TimedOut`].
    pub(crate) fn enter(
        &self,
        operation: Operation,
        deadline: Option<Deadline>,
    ) -> Result<Entered> {
        let entered = self.gate.enter(operation)?;
        if deadline.is_some_and(Deadline::has_passed) {
            return Err(Error::too_late(operation));
        }
        Ok(entered)
    }

    /// Runs `work`, the only one of its call, as [`run_within`](Self::run_within).
    pub(crate) async fn run<W: Work>(
        &self,
        work: W,
        deadline: Option<Deadline>,
    ) -> Result<W::Answer> {
        self.run_within(&self.gate.enter(work.operation())?, work, deadline).await
    }

    /// Runs `work` of an entered call on a connection, until its deadline and for at most the
    /// statement timeout and a second.
    ///
    /// The work runs on its own task, and goes on after its caller has gone away.
    /// So no connection ever returns to the pool in the middle of an answer.
    /// A failed or silent connection is closed. Its place is free again once the work is settled.
    /// On return, the work is settled, or its error has the effect `Pending`.
    pub(crate) async fn run_within<W: Work>(
        &self,
        call: &Entered,
        work: W,
        deadline: Option<Deadline>,
    ) -> Result<W::Answer> {
        let operation = work.operation();
        // 1. A place, if it changes something, and a connection.
        let began = Instant::now();
        let place = match commits(operation) {
            true => Some(self.place(operation, deadline).await?),
            false if self.pool.status().waiting >= MAX_WAITING => {
                return Err(Error::overloaded(operation));
            }
            false => None,
        };
        let connection = self.acquire(operation, deadline, began).await?;
        // 2. The work itself.
        let (caller, _present) = if self.limits.cancels_dropped {
            let (caller, present) = Caller::who_must_wait(call.clone());
            (caller, Some(present))
        } else {
            (Caller::new(call.clone()), None)
        };
        let running = self.clone().run_on(caller, place, connection, work, deadline);
        run_to_end(operation, running).await
    }

    /// Waits for a place for a change, within the acquire timeout and before the deadline.
    async fn place(&self, operation: Operation, deadline: Option<Deadline>) -> Result<Place> {
        // This starts the background task again if its runtime has gone, because unsettled attempts
        // hold places.
        self.control.unsettled();
        let longest = Instant::now() + self.limits.acquire_timeout;
        let by = deadline.map_or(longest, |deadline| longest.min(deadline.instant()));
        self.bulkheads.enter(operation, by).await
    }

    /// Gets a connection for a call begun at `began`, before the deadline.
    /// It takes at most the acquire timeout, plus the time to test a connection and try the hosts.
    async fn acquire(
        &self,
        operation: Operation,
        deadline: Option<Deadline>,
        began: Instant,
    ) -> Result<Object<Connector>> {
        let longest_connect = self.pool.manager().longest_connect();
        let longest = self.limits.acquire_timeout + longest_connect.saturating_mul(2);
        let longest = longest.saturating_sub(began.elapsed());
        let longest = deadline.map_or(longest, |deadline| longest.min(deadline.remaining()));
        if longest.is_zero() {
            return Err(Error::too_late(operation));
        }
        match timeout(longest, self.pool.get()).await {
            Ok(connection) => connection.map_err(|error| no_connection(operation, error)),
            Err(_) => Err(Error::timed_out(operation, longest, Effect::NotApplied)),
        }
    }

    /// Runs a work on a connection, and once more on another one if the session had ended before.
    async fn run_on<W: Work>(
        self,
        caller: Caller,
        place: Option<Place>,
        connection: Object<Connector>,
        work: W,
        deadline: Option<Deadline>,
    ) -> Result<W::Answer> {
        // 1. The deadline may have passed during the wait for a connection. Then nothing is sent.
        let operation = work.operation();
        if deadline.is_some_and(Deadline::has_passed) {
            return Err(Error::too_late(operation));
        }
        let schedule = Schedule::new(deadline, self.limits.statement_timeout);

        // 2. On this connection, and on another one if the first attempt certainly had no effect.
        let (caller, place) = (&caller, place.as_ref());
        let failed = match self.attempt(connection, caller, place, &work, &schedule).await {
            Ok(answer) => return Ok(answer),
            Err(failed) => failed,
        };
        if !failed.elsewhere {
            return Err(failed.error);
        }
        let rest = Some(Deadline::at(schedule.cancel_at));
        let Ok(connection) = self.acquire(operation, rest, Instant::now()).await else {
            return Err(failed.error);
        };
        let second = self.attempt(connection, caller, place, &work, &schedule).await;
        second.map_err(|failed| failed.error)
    }

    /// Whether there is a better primary than the read-only server of this generation.
    /// Without an answer by `end`, there is none.
    pub(super) async fn is_replaced(&self, generation: u64, end: Instant) -> bool {
        let verifying = self.pool.manager().verify_read_only(generation);
        timeout_at(end, verifying).await.is_ok_and(|is_of_use| !is_of_use)
    }

    /// Gives up all connections, because they lead to the server of the failed one.
    /// It closes the idle ones now, and the others after their calls.
    pub(super) fn give_up_all(&self) {
        self.pool.manager().next_generation();
        self.control.give_up();
        self.pool.retain(|_, _| false);
    }

    /// Returns the write sets of the unsettled attempts.
    pub(crate) fn unsettled(&self) -> Vec<Arc<WriteSet>> {
        self.control.unsettled()
    }

    /// Waits while an attempt that `meets` is unsettled, for a short time and before the deadline.
    pub(crate) async fn settling(
        &self,
        meets: impl Fn(&WriteSet) -> bool,
        deadline: Option<Deadline>,
    ) {
        self.control.settling(meets, deadline).await;
    }

    /// Refuses further calls, waits for the calls under way, and closes the connections.
    pub(crate) async fn close(&self) {
        self.gate.close().await;
        self.close_idle().await;
        self.pool.close();
    }

    /// Closes the idle connections.
    pub(crate) async fn close_idle(&self) {
        let idle = self.pool.retain(|_, _| false).removed;
        let closing = idle.into_iter().chain(self.control.release().await).map(|connection| {
            // A silent server loses the connection all the same.
            timeout(GRACE, connection.pg.close())
        });
        join_all(closing).await;
    }

    /// Returns the timeline of the server of the last connection.
    pub(crate) fn timeline(&self) -> Timeline {
        self.pool.manager().timeline()
    }

    /// Looks for the primary of the token's timeline, if it is later than the last connection's.
    /// It asks all hosts until the deadline.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] if there is no such primary.
    pub(crate) async fn reach(
        &self,
        operation: Operation,
        token: &SessionToken,
        deadline: Option<Deadline>,
    ) -> Result<()> {
        // Tokens are not authenticated, so the timeline of a token is never remembered.
        let is_reached = || {
            let here = self.timeline();
            let seen = token.position(here.log().to_token()).map(Position);
            seen.is_none_or(|seen| seen.timeline() <= here.number)
        };
        if !is_reached() {
            let longest = self.pool.manager().longest_connect();
            let end = deadline.map_or(longest, |deadline| longest.min(deadline.remaining()));
            // The result shows in the timeline.
            let _ = timeout(end, self.pool.manager().verify()).await;
        }
        if is_reached() { Ok(()) } else { Err(outdated_hosts(operation)) }
    }

    /// Returns the number of open connections, and how many of them are idle.
    pub(crate) fn connections(&self) -> (usize, usize) {
        let status = self.pool.status();
        (status.size, status.available)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.pool.status();
        f.debug_struct("Pool")
            .field("max_size", &status.max_size)
            .field("size", &status.size)
            .field("available", &status.available)
            .finish()
    }
}
