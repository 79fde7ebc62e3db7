//! Running one call's work on a connection, whatever becomes of the caller or the server.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{Object, Pool as ManagedPool, Timeouts};
use futures_util::future::{join, join_all};
use rsvp_core::backend::run_to_end;
use rsvp_core::{Deadline, Effect, Error, Operation, Result};
use sqlx::Connection as _;
use tokio::time::{Instant, timeout, timeout_at};

use super::connection::Connection;
use super::connector::Connector;
use super::control::Control;
use super::failure::{Failure, WorkError, commits, failure, is_outdated, no_connection};
use super::footprint::Footprint;
use super::gate::{Entered, Gate};
use super::lsn::LogId;
use super::places::{Place, Places};
use super::schedule::{GRACE, Schedule};
use super::unsettled::Attempt;
use super::work::Work;
use crate::config::PostgresConfig;
use crate::sql::Statements;

/// Reads that may wait for a connection at once; one more is refused at once.
const MAX_WAITING: usize = 16_384;

/// The limits of a pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The most connections.
    pub(crate) size: usize,
    /// The longest time that a call waits for a connection to become free.
    pub(crate) acquire_timeout: Duration,
    /// The longest time of a statement.
    pub(crate) statement_timeout: Duration,
    /// The longest time that a statement waits for a lock.
    pub(crate) lock_timeout: Duration,
}

impl From<&PostgresConfig> for Limits {
    fn from(config: &PostgresConfig) -> Self {
        Self {
            size: config.pool_size,
            acquire_timeout: config.acquire_timeout,
            statement_timeout: config.statement_timeout,
            lock_timeout: config.lock_timeout,
        }
    }
}

/// A bounded number of connections of one role.
#[derive(Clone)]
pub(crate) struct Pool {
    pool: ManagedPool<Connector>,
    control: Arc<Control>,
    gate: Gate,
    places: Places,
    sql: Arc<Statements>,
    limits: Limits,
}

/// An attempt of a call that has failed.
struct Failed {
    error: Error,
    /// Another connection may serve the call at once.
    elsewhere: bool,
}

impl Pool {
    pub(crate) fn new(connector: Connector, limits: Limits, sql: &Arc<Statements>) -> Result<Self> {
        let timeouts = Timeouts {
            wait: Some(limits.acquire_timeout),
            // Each attempt at a host is bounded by the connector itself, as is the ping.
            create: None,
            recycle: None,
        };
        let gate = Gate::default();
        let control = Control::new(connector.for_control(), gate.clone());
        let pool = ManagedPool::builder(connector)
            .max_size(limits.size)
            .timeouts(timeouts)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| Error::backend(Operation::Open, Effect::NotApplied, false, error))?;
        let places = Places::new(limits.size);
        Ok(Self { pool, control, gate, places, sql: sql.clone(), limits })
    }

    /// Lets a call in that runs several works by [`run_within`](Self::run_within). Refuses one whose
    /// deadline has passed, and every call once the pool is closed.
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

    /// Runs `work` of a call that was let in on a connection, until its deadline and for at most the
    /// statement timeout and a second.
    ///
    /// It runs on a task of its own: a caller that goes away leaves it to finish, so no
    /// connection is ever returned in the middle of an answer. A connection that fails or falls
    /// silent is closed and its place becomes free when the work is settled. When it returns, the
    /// work is settled, or its error says that it is pending.
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
        let call = call.clone();
        let running = self.clone().run_on(call, place, connection, work, deadline);
        run_to_end(operation, running).await
    }

    /// A place for a call that changes something, within the acquire timeout and before the
    /// deadline.
    async fn place(&self, operation: Operation, deadline: Option<Deadline>) -> Result<Place> {
        // Attempts that have places are settled even if the runtime of the last call has gone.
        self.control.unsettled();
        let longest = Instant::now() + self.limits.acquire_timeout;
        let by = deadline.map_or(longest, |deadline| longest.min(deadline.instant()));
        self.places.enter(operation, by).await
    }

    /// A connection for a call that `began` then: within the acquire timeout, and the time that it
    /// takes to test one and to try each host, and before the deadline.
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

    /// Runs a work on a connection. If its session has ended before the work was executed, the work
    /// is run once more, on another connection.
    async fn run_on<W: Work>(
        self,
        _entered: Entered,
        place: Option<Place>,
        connection: Object<Connector>,
        work: W,
        deadline: Option<Deadline>,
    ) -> Result<W::Answer> {
        // 1. A call whose deadline has passed meanwhile is not sent.
        let operation = work.operation();
        if deadline.is_some_and(Deadline::has_passed) {
            return Err(Error::too_late(operation));
        }
        let schedule = Schedule::new(deadline, self.limits.statement_timeout);

        // 2. On this connection, and on another one if that is certain to do no harm.
        let failed = match self.attempt(connection, place.as_ref(), &work, &schedule).await {
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
        let second = self.attempt(connection, place.as_ref(), &work, &schedule).await;
        second.map_err(|failed| failed.error)
    }

    /// The one place that sees the time limit, the connection and the outcome of a work.
    async fn attempt<W: Work>(
        &self,
        mut connection: Object<Connector>,
        place: Option<&Place>,
        work: &W,
        schedule: &Schedule,
    ) -> Result<W::Answer, Failed> {
        let operation = work.operation();
        connection.begin(schedule.cancel_at, self.limits.lock_timeout);

        // 1. The answer of the server is final. A failure of the connection concerns all to the same
        //    server. If there is no answer, only this one is closed, and the others are tested
        //    before they are used.
        let (answer, canceled) = self.answer(&mut connection, work, schedule).await;
        let Failure { error, evicts: closes, elsewhere } = match answer {
            // A commit that waits for a synchronous standby and is canceled succeeds, with a warning
            // that the driver does not pass on: the standby may lack the change.
            Some(Ok(_)) if canceled && commits(operation) => {
                let error = Error::timed_out(operation, schedule.elapsed(), Effect::Unknown);
                Failure { error, evicts: false, elsewhere: false }
            }
            Some(Ok(answer)) => {
                connection.in_use = false;
                return Ok(answer);
            }
            Some(Err(error)) => {
                if matches!(error, WorkError::TooLate) {
                    // The clock of the server may have been set, for all connections.
                    self.pool.manager().suspect();
                }
                let failure = failure(operation, error, schedule.elapsed());
                if failure.evicts {
                    self.give_up_all();
                }
                failure
            }
            None => {
                self.pool.manager().suspect();
                let error = Error::timed_out(operation, schedule.elapsed(), Effect::NotApplied);
                Failure { error, evicts: true, elsewhere: false }
            }
        };

        // 2. A statement that changes something and has no answer is stopped before the caller
        //    hears of it.
        let Connection { applied, unanswered, timeline, .. } = *connection;
        let backend = connection.running_on.get();
        if closes {
            drop(Object::take(connection));
        } else {
            connection.in_use = false;
        }
        let effect = if closes
            && unanswered
            && let Some(backend) = backend
        {
            let (footprint, place) = (work.footprint(), place.cloned());
            let attempt = Attempt::new(backend, timeline, footprint, place, schedule.over());
            self.control.settle(attempt, schedule.fence_until()).await
        } else if applied {
            // Rolling back the last statement leaves the ones before it.
            Effect::Unknown
        } else {
            error.effect()
        };
        let elsewhere = elsewhere && effect == Effect::NotApplied;
        Err(Failed { error: error.with_effect(effect), elsewhere })
    }

    /// The answer of the server; nothing if it gives none in time. Tells as well whether the server
    /// was asked to cancel.
    async fn answer<W: Work>(
        &self,
        connection: &mut Connection,
        work: &W,
        schedule: &Schedule,
    ) -> (Option<Result<W::Answer, WorkError>>, bool) {
        let (running_on, timeline) = (connection.running_on.clone(), connection.timeline);
        let (answer, asked) = {
            let mut running = pin!(run_in_time(work, connection, &self.sql));
            // 1. Most calls are answered soon.
            if let Ok(answer) = timeout_at(schedule.slow_at, &mut running).await {
                return (Some(answer), false);
            }
            self.control.prepare();
            if let Ok(answer) = timeout_at(schedule.cancel_at, &mut running).await {
                return (Some(answer), false);
            }
            // 2. The server is asked to cancel. Then it answers that it did, or that it was done.
            let canceling = async {
                match running_on.get() {
                    Some(backend) => {
                        self.control.cancel(backend, timeline, schedule.give_up_at).await
                    }
                    None => true,
                }
            };
            let answer = timeout_at(schedule.give_up_at, running);
            join(answer, canceling).await
        };
        // 3. A request that may still arrive would cancel the statement of another call.
        connection.stale |= !asked;
        (answer.ok(), true)
    }

    /// Gives up all connections, which are as dead as one that has failed, or as read-only: the idle
    /// ones now, the others when their calls are done.
    fn give_up_all(&self) {
        self.pool.manager().next_generation();
        self.control.give_up();
        self.pool.retain(|_, _| false);
    }

    /// The footprints of attempts to change something that are not settled.
    pub(crate) fn unsettled(&self) -> Vec<Arc<Footprint>> {
        self.control.unsettled()
    }

    /// Waits until no attempt that `meets` is unsettled, for a short time and until the deadline.
    pub(crate) async fn settling(
        &self,
        meets: impl Fn(&Footprint) -> bool,
        deadline: Option<Deadline>,
    ) {
        self.control.settling(meets, deadline).await;
    }

    /// Refuses further calls, waits for those under way, and closes the connections.
    pub(crate) async fn close(&self) {
        self.gate.close().await;
        self.close_idle().await;
        self.pool.close();
    }

    /// Closes the connections that no call uses.
    pub(crate) async fn close_idle(&self) {
        let idle = self.pool.retain(|_, _| false).removed;
        let closing = idle.into_iter().chain(self.control.release().await).map(|connection| {
            // A server that does not listen loses the connection all the same.
            timeout(GRACE, connection.pg.close())
        });
        join_all(closing).await;
    }

    /// The log that the server of the last connection writes or replays.
    pub(crate) fn log(&self) -> LogId {
        self.pool.manager().log()
    }

    /// The number of open connections, and the number of idle ones among them.
    pub(crate) fn connections(&self) -> (usize, usize) {
        let status = self.pool.status();
        (status.size, status.available)
    }
}

/// Runs a work, which the server may refuse once before it does anything. If it finds the work too
/// late although it is in time here, its clock was set since it was read: it is read again. If it no
/// longer has a statement as it was prepared, all are prepared again.
async fn run_in_time<W: Work>(
    work: &W,
    connection: &mut Connection,
    sql: &Statements,
) -> Result<W::Answer, WorkError> {
    match work.perform(connection, sql).await {
        Err(WorkError::TooLate) if !connection.applied && connection.may_begin() => {
            connection.read_clock().await?;
        }
        Err(error) if !connection.applied && is_outdated(&error) => {
            connection.pg.clear_cached_statements().await?;
        }
        answer => return answer,
    }
    work.perform(connection, sql).await
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
