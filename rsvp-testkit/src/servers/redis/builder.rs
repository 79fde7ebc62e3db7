//! The choices of a test before a server, pair or cluster starts.

use super::cluster::RedisCluster;
use super::config::{Options, Persistence, RedisTls};
use super::node::Node;
use super::replicated::ReplicatedRedis;
use super::server::RedisServer;
use crate::servers::wait::blocking;

impl RedisServer {
    /// A server, pair or cluster with settings, persistence or a password of one's own.
    pub fn builder() -> RedisBuilder {
        RedisBuilder { options: Options::default() }
    }
}

/// One or several servers that are about to be started.
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

    /// Demands `password` of everyone who connects.
    pub fn password(mut self, password: &str) -> Self {
        self.options.password = Some(password.to_owned());
        self
    }

    /// Speaks TLS only, by these files.
    pub fn tls(mut self, files: RedisTls) -> Self {
        self.options.tls = Some(files);
        self
    }

    /// Sets a directive of `redis.conf`; the last value wins.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.options.set(name, value);
        self
    }

    /// Starts one server and returns when it answers.
    pub async fn start(self) -> RedisServer {
        blocking(move || Node::start(&self.options, None)).await.into()
    }

    /// Starts a primary with a replica and returns when the replica follows.
    pub async fn start_replicated(self) -> ReplicatedRedis {
        ReplicatedRedis::start_with(self.options).await
    }

    /// Starts a cluster of three primaries and three replicas and returns when it is complete.
    pub async fn start_cluster(self) -> RedisCluster {
        RedisCluster::start_with(self.options).await
    }
}
