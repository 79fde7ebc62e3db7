//! The settings of a server, pair or cluster before its start.

use super::cluster::RedisCluster;
use super::config::{Options, Persistence, RedisTls};
use super::node::Node;
use super::replicated::ReplicatedRedis;
use super::server::RedisServer;
use crate::servers::wait::blocking;

impl RedisServer {
    /// Makes a builder of a server, pair or cluster with custom settings,
    /// persistence or a password.
    pub fn builder() -> RedisBuilder {
        RedisBuilder { options: Options::default() }
    }
}

/// A server, pair or cluster before its start.
///
/// ```no_run
/// use rsvp_testkit::servers::{Persistence, RedisServer};
///
/// # #[tokio::main]
/// # async fn main() {
/// let builder = RedisServer::builder().persistence(Persistence::EverySecond);
/// let server = builder.password("secret").setting("maxmemory", "64mb").start().await;
/// # let _ = server;
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct RedisBuilder {
    options: Options,
}

impl RedisBuilder {
    /// Sets the writes that survive a kill. Defaults to [`Persistence::Always`].
    pub fn persistence(mut self, persistence: Persistence) -> Self {
        self.options.persistence = persistence;
        self
    }

    /// Demands `password` of every client.
    pub fn password(mut self, password: &str) -> Self {
        self.options.password = Some(password.to_owned());
        self
    }

    /// Accepts TLS connections only, with these files.
    pub fn tls(mut self, files: RedisTls) -> Self {
        self.options.tls = Some(files);
        self
    }

    /// Sets a directive of `redis.conf`. The last value wins.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.options.set(name, value);
        self
    }

    /// Starts one server and returns after its first answer.
    pub async fn start(self) -> RedisServer {
        blocking(move || Node::start(&self.options, None)).await.into()
    }

    /// Starts a primary with a replica and returns after the replica follows.
    pub async fn start_replicated(self) -> ReplicatedRedis {
        ReplicatedRedis::start_with(self.options).await
    }

    /// Starts a cluster of three primaries and three replicas and returns after it is complete.
    pub async fn start_cluster(self) -> RedisCluster {
        RedisCluster::start_with(self.options).await
    }
}
