//! Running one call's statements on a connection, whatever becomes of the caller or the server.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{Object, Pool as ManagedPool, Timeouts};
use rsvp_core::{Effect, Error, Operation, Result};
use tokio::time::timeout;

use crate::PostgresConfig;
use crate::wire::connection::{Connector, Session};
use crate::wire::failure::{failure, no_connection};

/// How much longer than the statement timeout to wait for the server to say that it gave up.
const GRACE: Duration = Duration::from_secs(1);

/// Calls that may wait for a connection at once; one more is refused at once.
const MAX_WAITING: usize = 16_384;

/// What a call does with its connection.
pub(crate) type Work<'a, T> = Pin<Box<dyn Future<Output = sqlx::Result<T>> + Send + 'a>>;

/// A bounded number of connections of one role.
#[derive(Clone)]
pub(crate) struct Pool {
    pool: ManagedPool<Connector>,
    statement_timeout: Duration,
    acquire_timeout: Duration,
}

impl Pool {
    pub(crate) fn new(connector: Connector, config: &PostgresConfig) -> Result<Self> {
        let timeouts = Timeouts {
            wait: Some(config.acquire_timeout),
            // Each try of a host is bounded by the connector itself, as is the ping.
            create: None,
            recycle: None,
        };
        let pool = ManagedPool::builder(connector)
            .max_size(config.pool_size)
            .timeouts(timeouts)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| Error::backend(Operation::Open, Effect::NotApplied, false, error))?;
        let (statement_timeout, acquire_timeout) =
            (config.statement_timeout, config.acquire_timeout);
        Ok(Self { pool, statement_timeout, acquire_timeout })
    }

    /// Runs `work` on a connection, for at most the statement timeout and a second.
    ///
    /// It runs on a task of its own: a caller that goes away leaves it to finish, so no
    /// connection is ever returned in the middle of an answer. A connection that fails or falls
    /// silent is closed and its place becomes free.
    pub(crate) async fn run<T, W>(&self, operation: Operation, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: for<'a> FnOnce(&'a mut Session) -> Work<'a, T> + Send + 'static,
    {
        if self.pool.status().waiting >= MAX_WAITING {
            return Err(Error::overloaded(operation));
        }
        let session = self.acquire(operation).await?;
        let running = tokio::spawn(self.clone().run_on(session, operation, work));
        running
            .await
            .unwrap_or_else(|error| Err(Error::backend(operation, Effect::Unknown, false, error)))
    }

    /// A connection within the acquire timeout, and the time that it takes to ping one and to
    /// try each host.
    async fn acquire(&self, operation: Operation) -> Result<Object<Connector>> {
        let patience = self.acquire_timeout + self.pool.manager().patience().saturating_mul(2);
        match timeout(patience, self.pool.get()).await {
            Ok(session) => session.map_err(|error| no_connection(operation, error)),
            Err(_) => Err(Error::timed_out(operation, patience, Effect::NotApplied)),
        }
    }

    /// The log that the server of the last connection writes or replays.
    pub(crate) fn origin(&self) -> u64 {
        self.pool.manager().origin()
    }

    async fn run_on<T, W>(
        self,
        mut session: Object<Connector>,
        operation: Operation,
        work: W,
    ) -> Result<T>
    where
        W: for<'a> FnOnce(&'a mut Session) -> Work<'a, T>,
    {
        session.in_use = true;
        session.applied = false;
        let patience = self.statement_timeout + GRACE;
        match timeout(patience, work(&mut session)).await {
            Ok(Ok(answer)) => {
                session.in_use = false;
                Ok(answer)
            }
            Ok(Err(error)) => {
                let applied = session.applied;
                let failure = failure(operation, error, self.statement_timeout);
                if failure.evicts {
                    self.evict(session);
                } else {
                    session.in_use = false;
                }
                // Rolling back the last statement leaves the ones before it.
                Err(if applied {
                    failure.error.with_effect(Effect::Unknown)
                } else {
                    failure.error
                })
            }
            Err(_) => {
                self.evict(session);
                Err(Error::timed_out(operation, patience, Effect::Unknown))
            }
        }
    }

    /// Closes a connection and all beside it, which are as dead, or as read-only: the idle ones
    /// now, the others when their calls are done.
    fn evict(&self, session: Object<Connector>) {
        drop(Object::take(session));
        self.pool.manager().next_generation();
        self.pool.retain(|_, _| false);
    }

    /// How many connections are open, and how many of those are idle.
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
