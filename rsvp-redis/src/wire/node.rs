//! The connections to one node: those that all calls share, and those of writes that wait.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use deadpool::Runtime;
use deadpool::managed::{
    Manager, Metrics, Object, Pool, PoolError, RecycleError, RecycleResult, Timeouts,
};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use rsvp_core::url::Host;
use tokio::time::Instant;

use crate::RedisConfig;
use crate::wire::connection::{Connection, Dialer};
use crate::wire::failure::{ConnectError, Failure};

/// Writes that may wait for the replicas of one node at once; more queue for their turn.
const LANES: usize = 8;

/// A connection, or the attempt at one that everybody waits for who needs it.
type Attempt = Shared<BoxFuture<'static, Result<Connection, Arc<ConnectError>>>>;

/// A server, or the primary among several.
pub(crate) struct Node {
    /// As a cluster names it.
    pub(crate) address: String,
    dialer: Arc<Dialer>,
    shared: Vec<Mutex<Option<Attempt>>>,
    next: AtomicUsize,
    lanes: Pool<Lanes>,
    config: Arc<RedisConfig>,
}

/// A connection that no other call uses until it is dropped.
pub(crate) type Lane = Object<Lanes>;

impl Node {
    pub(crate) fn new(config: &Arc<RedisConfig>, hosts: Vec<Host>) -> Result<Self, ConnectError> {
        let address = hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let dialer = Arc::new(Dialer::new(Arc::clone(config), hosts));
        let timeouts =
            Timeouts { wait: Some(config.response_timeout), create: None, recycle: None };
        let lanes = Pool::builder(Lanes(Arc::clone(&dialer)))
            .max_size(LANES)
            .timeouts(timeouts)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|_| ConnectError::OtherMode("the pool of connections cannot be built"))?;
        let shared = (0..config.connections).map(|_| Mutex::default()).collect();
        let (next, config) = (AtomicUsize::new(0), Arc::clone(config));
        Ok(Self { address, dialer, shared, next, lanes, config })
    }

    /// One of the shared connections, in turn. It is made if there is none; those who come
    /// meanwhile wait for the same attempt, which is bounded by the connect timeout of each host.
    pub(crate) async fn connection(&self) -> Result<Connection, Failure> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let Some(slot) = self.shared.get(turn % self.shared.len().max(1)) else {
            return Err(Failure::NotServed);
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

    /// On a task of its own, so that it goes on when the caller who began it goes away.
    fn attempt(&self) -> Attempt {
        let dialer = Arc::clone(&self.dialer);
        let dialling = tokio::spawn(async move { dialer.dial().await });
        async move {
            match dialling.await {
                Ok(connection) => connection.map_err(Arc::new),
                Err(_) => Err(Arc::new(ConnectError::OtherMode("the runtime is shutting down"))),
            }
        }
        .boxed()
        .shared()
    }

    /// A connection of the caller's own. It waits for one at most as long as for an answer.
    pub(crate) async fn lane(&self) -> Result<Lane, Failure> {
        self.lanes.get().await.map_err(|error| match error {
            PoolError::Backend(error) => Failure::NotConnected(Arc::new(error)),
            _ => Failure::NoLane,
        })
    }

    /// Closes the connections that were there when something was `sent` that failed: they lead to
    /// a server that is dead or not the primary any more. Those that were made since may not.
    pub(crate) fn evict(&self, sent: Instant) {
        for slot in &self.shared {
            let slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(Ok(connection)) = slot.as_ref().and_then(Shared::peek)
                && connection.born <= sent
            {
                connection.close();
            }
        }
        self.lanes.retain(|connection, _| connection.born > sent);
    }

    pub(crate) fn config(&self) -> &RedisConfig {
        &self.config
    }
}

/// One that is being made is as good as one that works.
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

#[derive(Debug)]
pub(crate) struct Lanes(Arc<Dialer>);

impl Manager for Lanes {
    type Type = Connection;
    type Error = ConnectError;

    async fn create(&self) -> Result<Connection, ConnectError> {
        self.0.dial().await
    }

    async fn recycle(&self, lane: &mut Connection, _: &Metrics) -> RecycleResult<ConnectError> {
        match lane.is_closed() {
            true => Err(RecycleError::message("it is closed")),
            false => Ok(()),
        }
    }
}
