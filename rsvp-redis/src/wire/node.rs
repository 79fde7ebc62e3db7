//! One node: its connections, and sending requests over them.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{
    Manager, Metrics, Object, Pool, PoolError, RecycleError, RecycleResult, Timeouts,
};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use redis::{Pipeline, Value, cmd};
use rsvp_core::url::Host;
use tokio::time::Instant;

use crate::config::RedisConfig;
use crate::wire::connection::{Connection, Connector, Replies};
use crate::wire::failure::{ConnectError, Failure};
use crate::wire::request::{Answer, Request};

/// Writes that may wait for the replicas of one node at once. More of them queue.
const WAIT_CONNECTIONS: usize = 8;

/// A connection, or the attempt at one that all its callers wait for.
type Attempt = Shared<BoxFuture<'static, Result<Connection, Arc<ConnectError>>>>;

/// A server, or the primary among several.
pub(crate) struct Node {
    /// Its `host:port` in a cluster, otherwise all configured hosts.
    pub(crate) address: String,
    connector: Arc<Connector>,
    shared: Vec<Mutex<Option<Attempt>>>,
    next: AtomicUsize,
    wait_pool: Pool<WaitConnections>,
    config: Arc<RedisConfig>,
}

impl Node {
    pub(crate) fn new(config: &Arc<RedisConfig>, hosts: Vec<Host>) -> Result<Self, ConnectError> {
        let address = hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let connector = Arc::new(Connector::new(Arc::clone(config), hosts));
        let timeouts =
            Timeouts { wait: Some(config.response_timeout), create: None, recycle: None };
        let wait_pool = Pool::builder(WaitConnections(Arc::clone(&connector)))
            .max_size(WAIT_CONNECTIONS)
            .timeouts(timeouts)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|_| ConnectError::OtherMode("the connection pool cannot be built"))?;
        let shared = (0..config.connections).map(|_| Mutex::default()).collect();
        let (next, config) = (AtomicUsize::new(0), Arc::clone(config));
        Ok(Self { address, connector, shared, next, wait_pool, config })
    }

    /// One of the shared connections, in turn. It is made if there is none. Concurrent callers
    /// wait for the same attempt, which the connect timeout of each host bounds.
    pub(crate) async fn connection(&self) -> Result<Connection, Failure> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let Some(slot) = self.shared.get(turn % self.shared.len().max(1)) else {
            return Err(Failure::NoOwner);
        };
        let attempt = {
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            match slot.as_ref().filter(|attempt| is_usable(attempt)) {
                Some(attempt) => attempt.clone(),
                None => slot.insert(self.attempt()).clone(),
            }
        };
        attempt.await.map_err(Failure::NotConnected)
    }

    /// Connects on a task of its own, so that a caller who goes away does not stop the attempt.
    fn attempt(&self) -> Attempt {
        let connector = Arc::clone(&self.connector);
        let connecting = tokio::spawn(async move { connector.connect().await });
        async move {
            match connecting.await {
                Ok(connection) => connection.map_err(Arc::new),
                Err(_) => Err(Arc::new(ConnectError::OtherMode("the runtime is shutting down"))),
            }
        }
        .boxed()
        .shared()
    }

    /// A connection that no other call uses, for a write that waits for replicas. Waits for one at
    /// most for the response timeout.
    async fn wait_connection(&self) -> Result<Object<WaitConnections>, Failure> {
        self.wait_pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => Failure::NotConnected(Arc::new(error)),
            _ => Failure::NoWaitConnection,
        })
    }

    /// Closes the connections that existed when a request was `sent` that failed. They lead to a
    /// server that is dead or no longer the primary, unlike those that were made since.
    fn evict(&self, sent: Instant) {
        for slot in &self.shared {
            let slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(Ok(connection)) = slot.as_ref().and_then(Shared::peek)
                && connection.born <= sent
            {
                connection.close();
            }
        }
        self.wait_pool.retain(|connection, _| connection.born > sent);
    }

    /// Sends requests in one pipeline. Writes that wait for replicas go on a connection of their
    /// own, which `WAIT` covers and blocks.
    pub(crate) async fn send(
        &self,
        requests: &[Request],
        asking: bool,
    ) -> Vec<Result<Answer, Failure>> {
        let began = Instant::now();
        let waits = self.config.wait_replicas > 0 && requests.iter().any(|request| request.writes);
        let sent = if waits {
            match self.wait_connection().await {
                Ok(connection) => self.exchange(&connection, requests, asking, true).await,
                Err(failure) => Err(failure),
            }
        } else {
            match self.connection().await {
                Ok(connection) => self.exchange(&connection, requests, asking, false).await,
                Err(failure) => Err(failure),
            }
        };
        let answers =
            sent.unwrap_or_else(|failure| requests.iter().map(|_| Err(failure.clone())).collect());
        if answers.iter().any(|answer| answer.as_ref().is_err_and(Failure::evicts)) {
            self.evict(began);
        }
        answers
    }

    async fn exchange(
        &self,
        connection: &Connection,
        requests: &[Request],
        asking: bool,
        waits: bool,
    ) -> Result<Vec<Result<Answer, Failure>>, Failure> {
        // One pipeline: all requests, and `WAIT` behind them.
        let count: usize = requests.iter().map(|request| request.replies(asking)).sum();
        let mut pipeline = Pipeline::with_capacity(count + 1);
        for request in requests {
            request.append_to(&mut pipeline, asking);
        }
        let (replicas, timeout) = (self.config.wait_replicas, self.config.wait_timeout);
        if waits {
            let wait = cmd("WAIT").arg(replicas).arg(timeout.as_millis() as u64).to_owned();
            pipeline.add_command(wait);
        }
        let extra = if waits { timeout } else { Duration::ZERO };
        let Replies { values, demoted } = connection.send(pipeline, extra).await?;
        if demoted.as_ref().is_some_and(Failure::evicts) {
            self.evict(connection.born);
        }
        // Each request takes its replies in order.
        let mut values = values.into_iter();
        let mut answers: Vec<_> = requests
            .iter()
            .map(|request| {
                let replies = values.by_ref().take(request.replies(asking)).collect();
                let answer = request.answer(replies, connection.server);
                if_primary(request, answer, demoted.as_ref())
            })
            .collect();
        // Without enough replicas no request is acknowledged.
        if waits && let Some(failure) = wait_failure(values.next(), replicas) {
            for answer in answers.iter_mut().filter(|answer| answer.is_ok()) {
                *answer = Err(failure.clone());
            }
        }
        Ok(answers)
    }
}

/// The answer, unless the server was found to be demoted.
fn if_primary(
    request: &Request,
    answer: Result<Answer, Failure>,
    demoted: Option<&Failure>,
) -> Result<Answer, Failure> {
    match demoted {
        Some(failure) if !request.writes => Err(failure.clone()),
        // The write may have been applied while the server was the primary, and then it must not
        // be sent again, since its outcome would differ. But the new primary may not have it.
        Some(Failure::ReadOnly(error)) => answer.and(Err(Failure::Demoted(error.clone()))),
        _ => answer,
    }
}

/// The failure that a reply to `WAIT` means, if it means one.
fn wait_failure(reply: Option<Value>, replicas: u32) -> Option<Failure> {
    match reply {
        Some(Value::Int(have)) if have >= i64::from(replicas) => None,
        Some(Value::Int(have)) => Some(Failure::NotReplicated(have)),
        // Without the right to `WAIT`.
        Some(Value::ServerError(error)) => Some(Failure::PartlyApplied(error.into())),
        _ => Some(Failure::Malformed("unexpected reply to WAIT")),
    }
}

/// Whether callers may wait for the attempt. One that is under way is as good as one that worked.
fn is_usable(attempt: &Attempt) -> bool {
    match attempt.peek() {
        None => true,
        Some(Ok(connection)) => !connection.is_closed(),
        Some(Err(_)) => false,
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Node").field(&self.address).finish()
    }
}

/// Makes the connections of writes that wait for replicas.
#[derive(Debug)]
struct WaitConnections(Arc<Connector>);

impl Manager for WaitConnections {
    type Type = Connection;
    type Error = ConnectError;

    async fn create(&self) -> Result<Connection, ConnectError> {
        self.0.connect().await
    }

    async fn recycle(
        &self,
        connection: &mut Connection,
        _: &Metrics,
    ) -> RecycleResult<ConnectError> {
        match connection.is_closed() {
            true => Err(RecycleError::message("it is closed")),
            false => Ok(()),
        }
    }
}
