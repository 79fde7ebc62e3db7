//! One node with its connections. It sends requests over them.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use deadpool::Runtime;
use deadpool::managed::{
    Manager, Metrics, Object, Pool, PoolError, RecycleError, RecycleResult, Timeouts,
};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use rsvp_core::url::Host;
use tokio::time::Instant;

use crate::config::RedisConfig;
use crate::wire::call_deadline::Call;
use crate::wire::connection::Connection;
use crate::wire::connection_fence::Fences;
use crate::wire::connector::Connector;
use crate::wire::failure::{ConnectError, Failure};
use crate::wire::pipeline::{Exchanged, exchange};
use crate::wire::request::{Answer, Request};

/// Connections to one node for single callers. More callers queue.
const EXCLUSIVE_CONNECTIONS: usize = 8;

/// A connection, or the attempt at one, shared by all its callers.
type Attempt = Shared<Connecting>;
/// A weak reference to an attempt. Its connection is closed after the last use.
type WeakAttempt = WeakShared<Connecting>;
type Connecting = BoxFuture<'static, Result<Connection, Arc<ConnectError>>>;

/// A server, or the primary among several.
pub(crate) struct Node {
    /// Its `host:port` in a cluster, otherwise all configured hosts.
    pub(crate) address: String,
    connector: Arc<Connector>,
    shared: Vec<Mutex<Option<Attempt>>>,
    next: AtomicUsize,
    /// The last attempt at a connection only for fences. Usually a shared connection fences others.
    spare: Mutex<Option<WeakAttempt>>,
    exclusive: Pool<ExclusiveConnections>,
    pub(super) fences: Arc<Fences>,
    pub(super) config: Arc<RedisConfig>,
}

impl Node {
    /// A node without connections. `fences` are those of the same hosts.
    pub(crate) fn new(
        config: &Arc<RedisConfig>,
        hosts: Vec<Host>,
        fences: Arc<Fences>,
    ) -> Result<Self, ConnectError> {
        let address = hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let connector = Arc::new(Connector::new(Arc::clone(config), hosts, Arc::clone(&fences)));
        let timeouts =
            Timeouts { wait: Some(config.response_timeout), create: None, recycle: None };
        let exclusive = Pool::builder(ExclusiveConnections(Arc::clone(&connector)))
            .max_size(EXCLUSIVE_CONNECTIONS)
            .timeouts(timeouts)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|_| ConnectError::OtherMode("the connection pool cannot be built"))?;
        let shared = (0..config.connections).map(|_| Mutex::default()).collect();
        let (next, config) = (AtomicUsize::new(0), Arc::clone(config));
        let spare = Mutex::default();
        Ok(Self { address, connector, shared, spare, next, exclusive, fences, config })
    }

    /// One of the shared connections, in turn. It is made if there is none. Concurrent callers wait
    /// for the same attempt, bounded by the connect timeout of each host.
    pub(crate) async fn connection(&self, call: Call) -> Result<Connection, Failure> {
        self.connector.look_around();
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let attempt = self.attempt_at(turn % self.shared.len().max(1)).ok_or(Failure::NoOwner)?;
        call.within(attempt).await?.map_err(Failure::NotConnected)
    }

    /// The shared connection at a place, or the attempt at it.
    fn attempt_at(&self, place: usize) -> Option<Attempt> {
        let mut shared = self.shared.get(place)?.lock().unwrap_or_else(PoisonError::into_inner);
        Some(match shared.as_ref().filter(|attempt| self.is_usable(attempt)) {
            Some(attempt) => attempt.clone(),
            None => shared.insert(self.attempt()).clone(),
        })
    }

    /// Whether callers may wait for the attempt. A running one is as good as a successful one.
    fn is_usable(&self, attempt: &Attempt) -> bool {
        match attempt.peek() {
            None => true,
            Some(Ok(connection)) => {
                !connection.is_closed() && self.connector.is_current(connection)
            }
            Some(Err(_)) => false,
        }
    }

    /// The replacement of a closed connection, the new one at its place among the shared ones, or
    /// else one of its own. Either is younger than the closed one. All old ones may share a broken
    /// path, or lead to a demoted primary.
    pub(super) async fn replacement(
        &self,
        closed: &Connection,
    ) -> Result<Connection, Arc<ConnectError>> {
        let is_here = |place: &Mutex<Option<Attempt>>| {
            let attempt = place.lock().unwrap_or_else(PoisonError::into_inner);
            let connection = attempt.as_ref().and_then(|attempt| attempt.peek()?.as_ref().ok());
            connection.is_some_and(|connection| Arc::ptr_eq(connection.fenced(), closed.fenced()))
        };
        let place = self.shared.iter().position(is_here);
        let attempt = place.and_then(|place| self.attempt_at(place));
        attempt.unwrap_or_else(|| self.spare_attempt()).await
    }

    /// An attempt at a connection beside the shared ones. Callers share a running attempt.
    fn spare_attempt(&self) -> Attempt {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let under_way = spare
            .as_ref()
            .and_then(WeakAttempt::upgrade)
            .filter(|attempt| attempt.peek().is_none());
        under_way.unwrap_or_else(|| {
            let attempt = self.attempt();
            *spare = attempt.downgrade();
            attempt
        })
    }

    /// Connects on a task of its own, so the attempt goes on after its callers are dropped.
    fn attempt(&self) -> Attempt {
        let connector = Arc::clone(&self.connector);
        let connecting = async move { connector.connect().await.map_err(Arc::new) };
        let attempt = connecting.boxed().shared();
        tokio::spawn(attempt.clone());
        attempt
    }

    /// A connection for one call, to wait for replicas or to watch a key. Waits for one at most for
    /// the response timeout.
    pub(crate) async fn exclusive(
        &self,
        call: Call,
    ) -> Result<Object<ExclusiveConnections>, Failure> {
        self.connector.look_around();
        call.within(self.exclusive.get()).await?.map_err(|error| match error {
            PoolError::Backend(error) => Failure::NotConnected(Arc::new(error)),
            _ => Failure::Busy,
        })
    }

    /// Closes the connections made before a failed request was `sent`. They lead to a dead server
    /// or a demoted primary, unlike later ones.
    fn evict(&self, sent: Instant) {
        for slot in &self.shared {
            let slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(Ok(connection)) = slot.as_ref().and_then(Shared::peek)
                && connection.born <= sent
            {
                connection.close();
            }
        }
        self.exclusive.retain(|connection, _| connection.born > sent);
    }

    /// Sends requests in one pipeline. To wait for replicas, writes go on a connection of their
    /// own, since `WAIT` covers and blocks the whole connection.
    ///
    /// When a write fails, its effect is settled, or the failure says until when it is pending.
    pub(crate) async fn send(
        &self,
        call: Call,
        requests: &[Request],
        asking: bool,
    ) -> Vec<Result<Answer, Failure>> {
        let waits = self.config.wait_replicas > 0 && requests.iter().any(|request| request.writes);
        let answers = if waits {
            match self.exclusive(call).await {
                Ok(connection) => self.send_on(&connection, call, requests, asking).await,
                Err(failure) => Err(failure),
            }
        } else {
            match self.connection(call).await {
                Ok(connection) => self.send_on(&connection, call, requests, asking).await,
                Err(failure) => Err(failure),
            }
        };
        answers.unwrap_or_else(|failure| requests.iter().map(|_| Err(failure.clone())).collect())
    }

    /// Sends requests in one pipeline on one connection, as [`send`](Self::send) does.
    pub(crate) async fn send_on(
        &self,
        connection: &Connection,
        call: Call,
        requests: &[Request],
        asking: bool,
    ) -> Result<Vec<Result<Answer, Failure>>, Failure> {
        // Step 1: send the requests and read their replies.
        let began = Instant::now();
        let fences = &self.fences;
        let sent = exchange(connection, fences, &self.config, call, requests, asking).await;
        // Step 2: replace the connections after a fault of the server or of the path. The store
        // itself may have killed this connection by a fence, and that is no fault.
        let evicts = match &sent {
            Ok(Exchanged { answers, demoted }) => {
                *demoted || answers.iter().any(|answer| answer.as_ref().is_err_and(Failure::evicts))
            }
            Err(Failure::Lost(_)) if connection.is_given_up() => false,
            Err(failure) => failure.evicts(),
        };
        if evicts {
            self.evict(began);
        }
        // Step 3: settle writes without a reply.
        match sent {
            Ok(Exchanged { answers, .. }) => Ok(answers),
            Err(failure) if requests.iter().any(|request| request.writes) => {
                Err(self.settle(connection, call, failure).await)
            }
            Err(failure) => Err(failure),
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Node").field(&self.address).finish()
    }
}

/// Makes the connections for single callers.
#[derive(Debug)]
pub(crate) struct ExclusiveConnections(Arc<Connector>);

impl Manager for ExclusiveConnections {
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
        match connection.is_closed() || !self.0.is_current(connection) {
            true => Err(RecycleError::message("it is closed, or leads to an earlier primary")),
            false => Ok(()),
        }
    }
}
