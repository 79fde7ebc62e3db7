//! Running one call's work on a connection, whatever becomes of the caller or the server.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{Object, Pool as ManagedPool, Timeouts};
use rsvp_core::backend::run_to_end;
use rsvp_core::{Effect, Error, Operation, Result};
use tokio::time::timeout;

use super::connector::Connector;
use super::failure::{failure, no_connection};
use super::lsn::LogId;
use super::work::Work;
use crate::config::PostgresConfig;
use crate::sql::Statements;

/// How much longer than the statement timeout to wait for the server to report it.
const GRACE: Duration = Duration::from_secs(1);

/// Calls that may wait for a connection at once; one more is refused at once.
const MAX_WAITING: usize = 16_384;

/// A bounded number of connections of one role.
#[derive(Clone)]
pub(crate) struct Pool {
    pool: ManagedPool<Connector>,
    sql: Arc<Statements>,
    statement_timeout: Duration,
    acquire_timeout: Duration,
}

impl Pool {
    pub(crate) fn new(
        connector: Connector,
        config: &PostgresConfig,
        sql: &Arc<Statements>,
    ) -> Result<Self> {
        let timeouts = Timeouts {
            wait: Some(config.acquire_timeout),
            // Each attempt at a host is bounded by the connector itself, as is the ping.
            create: None,
            recycle: None,
        };
        let pool = ManagedPool::builder(connector)
            .max_size(config.pool_size)
            .timeouts(timeouts)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| Error::backend(Operation::Open, Effect::NotApplied, false, error))?;
        Ok(Self {
            pool,
            sql: sql.clone(),
            statement_timeout: config.statement_timeout,
            acquire_timeout: config.acquire_timeout,
        })
    }

    /// Runs `work` on a connection, for at most the statement timeout and a second.
    ///
    /// It runs on a task of its own: a caller that goes away leaves it to finish, so no
    /// connection is ever returned in the middle of an answer. A connection that fails or falls
    /// silent is closed and its place becomes free.
    pub(crate) async fn run<W: Work>(&self, work: W) -> Result<W::Answer> {
        let operation = work.operation();
        if self.pool.status().waiting >= MAX_WAITING {
            return Err(Error::overloaded(operation));
        }
        let connection = self.acquire(operation).await?;
        run_to_end(operation, self.clone().run_on(connection, work)).await
    }

    /// A connection within the acquire timeout, and the time that it takes to ping one and to
    /// try each host.
    async fn acquire(&self, operation: Operation) -> Result<Object<Connector>> {
        let longest_connect = self.pool.manager().longest_connect();
        let longest = self.acquire_timeout + longest_connect.saturating_mul(2);
        match timeout(longest, self.pool.get()).await {
            Ok(connection) => connection.map_err(|error| no_connection(operation, error)),
            Err(_) => Err(Error::timed_out(operation, longest, Effect::NotApplied)),
        }
    }

    /// The one place that sees the time limit, the connection and the outcome of a work.
    async fn run_on<W: Work>(
        self,
        mut connection: Object<Connector>,
        work: W,
    ) -> Result<W::Answer> {
        // 1. Until the work has ended well, the connection is not to be used again.
        connection.in_use = true;
        connection.applied = false;

        // 2. The server ends a statement at the statement timeout. A server that does not report
        //    that in time has fallen silent.
        let operation = work.operation();
        let longest = self.statement_timeout + GRACE;
        let Ok(outcome) = timeout(longest, work.run(&mut connection, &self.sql)).await else {
            self.evict(connection);
            return Err(Error::timed_out(operation, longest, Effect::Unknown));
        };

        // 3. A failure decides about the connection, and about all to the same server.
        let failure = match outcome {
            Ok(answer) => {
                connection.in_use = false;
                return Ok(answer);
            }
            Err(error) => failure(operation, error, self.statement_timeout),
        };
        let applied = connection.applied;
        if failure.evicts {
            self.evict(connection);
        } else {
            connection.in_use = false;
        }

        // 4. Rolling back the last statement leaves the ones before it.
        Err(if applied { failure.error.with_effect(Effect::Unknown) } else { failure.error })
    }

    /// Closes a connection and all beside it, which are as dead, or as read-only: the idle ones
    /// now, the others when their calls are done.
    fn evict(&self, connection: Object<Connector>) {
        drop(Object::take(connection));
        self.pool.manager().next_generation();
        self.pool.retain(|_, _| false);
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
