//! A primary and its replica.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::config::Options;
use super::node::Node;
use super::server::RedisServer;
use crate::servers::wait::{blocking, wait_until};

const SYNC_LIMIT: Duration = Duration::from_secs(60);

/// A primary with one replica. They can change roles any number of times.
///
/// Each server keeps its port. There is no automatic failover. The test promotes the replica.
///
/// ```no_run
/// use rsvp_testkit::servers::ReplicatedRedis;
///
/// # #[tokio::main]
/// # async fn main() {
/// let mut pair = ReplicatedRedis::start().await;
/// pair.primary().command(&["SET", "key", "value"]).await;
/// pair.wait_caught_up().await;
/// pair.fail_over().await;
/// assert_eq!(pair.primary().command(&["GET", "key"]).await, "value");
/// # }
/// ```
#[derive(Debug)]
pub struct ReplicatedRedis {
    servers: [RedisServer; 2],
    primary: AtomicUsize,
}

impl ReplicatedRedis {
    /// Starts a pair that keeps every acknowledged write, without a password.
    pub async fn start() -> Self {
        RedisServer::builder().start_replicated().await
    }

    pub(super) async fn start_with(options: Options) -> Self {
        let servers = blocking(move || {
            let primary = Node::start(&options, None);
            let replica = Node::start(&options, Some(primary.port()));
            wait_until("the replica to follow", SYNC_LIMIT, || replica.follows());
            // A replica counts only after its first acknowledgement.
            // A message without subscribers makes it acknowledge something.
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

    /// Returns the server that accepts writes.
    pub fn primary(&self) -> &RedisServer {
        &self.servers[self.primary.load(Ordering::SeqCst)]
    }

    /// Returns the server that follows.
    pub fn replica(&self) -> &RedisServer {
        &self.servers[1 - self.primary.load(Ordering::SeqCst)]
    }

    /// Makes the replica the primary.
    ///
    /// From here on [`primary`](Self::primary) is the promoted server.
    /// The other one stays as it is. Kill it before, or have two primaries.
    pub async fn promote(&self) {
        self.replica()
            .run(|node| {
                node.must(&["REPLICAOF", "NO", "ONE"]);
                // A restart after this must keep the new role.
                node.configure(None);
            })
            .await;
        self.primary.fetch_xor(1, Ordering::SeqCst);
    }

    /// Makes the other server a replica of the primary, whatever its role before, and returns
    /// after it follows.
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
    /// Clients of the old primary get the error `READONLY`.
    pub async fn switch_over(&self) {
        // The switch must lose no write, so let the replica catch up first.
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
    /// Writes missing on the replica are lost, acknowledged or not.
    pub async fn fail_over(&self) {
        self.primary().kill().await;
        self.promote().await;
        self.rebuild_replica().await;
    }

    /// Waits until a sentinel has promoted the replica.
    /// From then on [`primary`](Self::primary) is the promoted server.
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

    /// Waits until the other server follows the primary, by order of a sentinel.
    pub async fn wait_followed(&self) {
        self.replica()
            .run(|node| wait_until("the replica to follow", SYNC_LIMIT, || node.follows()))
            .await;
    }

    /// Waits until the replica has received everything written to the primary so far.
    pub async fn wait_caught_up(&self) {
        let primary = Arc::clone(&self.primary().node);
        self.replica().run(move |replica| replica.wait_for_all_of(&primary)).await;
    }
}
