//! A primary and its replica.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::config::Options;
use super::node::Node;
use super::server::RedisServer;
use crate::servers::wait::{blocking, wait_until};

const SYNC_LIMIT: Duration = Duration::from_secs(60);

/// A primary with one replica, which can change roles any number of times.
///
/// Each server keeps its port. Nothing promotes by itself: the test is the sentinel.
#[derive(Debug)]
pub struct ReplicatedRedis {
    servers: [RedisServer; 2],
    primary: AtomicUsize,
}

impl ReplicatedRedis {
    /// Starts a pair that keeps every acknowledged write and asks for no password.
    pub async fn start() -> Self {
        RedisServer::builder().start_replicated().await
    }

    pub(super) async fn start_with(options: Options) -> Self {
        let servers = blocking(move || {
            let primary = Node::start(&options, None);
            let replica = Node::start(&options, Some(primary.port()));
            wait_until("the replica to follow", SYNC_LIMIT, || replica.follows());
            // Until it has acknowledged something, it is none to those who wait for it. A message to
            // nobody is something.
            primary.must(&["PUBLISH", "", ""]);
            wait_until("the replica to acknowledge", SYNC_LIMIT, || {
                let replica = primary.field(&["INFO", "replication"], "slave0");
                replica.is_some_and(|replica| {
                    replica.contains("state=online") && !replica.contains("offset=0,")
                })
            });
            [primary, replica].map(RedisServer::from)
        });
        Self { servers: servers.await, primary: AtomicUsize::new(0) }
    }

    /// The server that takes writes.
    pub fn primary(&self) -> &RedisServer {
        &self.servers[self.primary.load(Ordering::SeqCst)]
    }

    /// The server that follows.
    pub fn replica(&self) -> &RedisServer {
        &self.servers[1 - self.primary.load(Ordering::SeqCst)]
    }

    /// Makes the replica the primary.
    ///
    /// From here on [`primary`](Self::primary) is the promoted server. The other one is left as it
    /// is: kill it before, or have two primaries.
    pub async fn promote(&self) {
        self.replica()
            .run(|node| {
                node.must(&["REPLICAOF", "NO", "ONE"]);
                node.configure(None);
            })
            .await;
        self.primary.fetch_xor(1, Ordering::SeqCst);
    }

    /// Makes the server that is not the primary a replica of it, whatever it was before, and returns
    /// when it follows.
    pub async fn rebuild_replica(&self) {
        let primary = self.primary().port();
        self.replica()
            .run(move |node| {
                node.process().kill();
                node.configure(Some(primary));
                node.start_again();
                wait_until("the replica to follow", SYNC_LIMIT, || node.follows());
            })
            .await;
    }

    /// Makes the living primary a replica and the replica the primary, with both kept running.
    ///
    /// Clients that stay with the old primary are answered `READONLY`.
    pub async fn switch_over(&self) {
        self.wait_caught_up().await;
        self.promote().await;
        let primary = self.primary().port();
        self.replica()
            .run(move |node| {
                node.must(&["REPLICAOF", "127.0.0.1", &primary.to_string()]);
                node.configure(Some(primary));
                wait_until("the replica to follow", SYNC_LIMIT, || node.follows());
            })
            .await;
    }

    /// Kills the primary with SIGKILL, promotes the replica, and makes the old primary its replica.
    ///
    /// Writes that the replica had not received are lost, acknowledged or not.
    pub async fn fail_over(&self) {
        self.primary().kill().await;
        self.promote().await;
        self.rebuild_replica().await;
    }

    /// Waits until a sentinel has promoted the replica, and makes [`primary`](Self::primary) the server
    /// that was promoted.
    pub async fn wait_promoted(&self) {
        self.replica()
            .run(|node| {
                wait_until("a sentinel to promote the replica", SYNC_LIMIT, || {
                    node.field(&["INFO", "replication"], "role").as_deref() == Some("master")
                });
            })
            .await;
        self.primary.fetch_xor(1, Ordering::SeqCst);
    }

    /// Waits until the server that is not the primary follows it, told by a sentinel.
    pub async fn wait_followed(&self) {
        self.replica()
            .run(|node| wait_until("the replica to follow", SYNC_LIMIT, || node.follows()))
            .await;
    }

    /// Waits until the replica has everything that the primary has been given so far.
    pub async fn wait_caught_up(&self) {
        let primary = Arc::clone(&self.primary().node);
        self.replica().run(move |replica| replica.wait_for_all_of(&primary)).await;
    }
}
