//! A primary and its streaming standbys.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::config::Options;
use super::node::{Node, STANDBY_NAME};
use super::server::PostgresServer;
use crate::servers::wait::{blocking, wait_until};

const REPLAY_LIMIT: Duration = Duration::from_secs(30);

/// The confirmation of a commit on the primary.
///
/// ```no_run
/// use rsvp_testkit::servers::{ReplicatedPostgres, Replication};
///
/// # #[tokio::main]
/// # async fn main() {
/// let builder = ReplicatedPostgres::builder().replication(Replication::Synchronous);
/// let mut group = builder.start().await;
/// group.fail_over().await;
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replication {
    /// A commit waits for the primary's disk only, and the standby lags behind.
    #[default]
    Asynchronous,
    /// A commit waits for both disks (`synchronous_commit = on`).
    /// A promotion loses no acknowledged write.
    Synchronous,
    /// A commit also waits for its visibility on the standby (`synchronous_commit = remote_apply`).
    ///
    /// While replay is paused, commits wait.
    SynchronousApply,
}

impl Replication {
    fn is_synchronous(self) -> bool {
        self != Self::Asynchronous
    }
}

/// A primary with streaming standbys, by default one. They can change roles any number of times.
///
/// Each server keeps its port.
/// They replicate through Unix sockets, so a proxy in front of one does not affect replication.
///
/// In a synchronous group one standby at a time confirms commits.
/// While all standbys are down, commits on the primary wait.
///
/// ```no_run
/// use rsvp_testkit::servers::ReplicatedPostgres;
///
/// # #[tokio::main]
/// # async fn main() {
/// let group = ReplicatedPostgres::start().await;
/// // Reads from the standby are stale from here on.
/// group.pause_replay().await;
/// group.resume_replay().await;
/// group.wait_caught_up().await;
/// # }
/// ```
#[derive(Debug)]
pub struct ReplicatedPostgres {
    servers: Vec<PostgresServer>,
    primary: AtomicUsize,
    replication: Replication,
}

impl ReplicatedPostgres {
    /// Starts a primary and an asynchronous standby. Both trust every client.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Makes a builder of a group with custom settings.
    pub fn builder() -> ReplicatedPostgresBuilder {
        ReplicatedPostgresBuilder {
            options: Options::default(),
            replication: Replication::default(),
            standbys: 1,
        }
    }

    /// Returns the server that accepts writes.
    pub fn primary(&self) -> &PostgresServer {
        &self.servers[self.primary.load(Ordering::SeqCst)]
    }

    /// Returns the first server that follows.
    pub fn standby(&self) -> &PostgresServer {
        let mut standbys = self.standbys();
        standbys.next().expect("a group has a standby")
    }

    /// Returns the servers that follow.
    pub fn standbys(&self) -> impl Iterator<Item = &PostgresServer> {
        let primary = self.primary.load(Ordering::SeqCst);
        let others = self.servers.iter().enumerate().filter(move |(place, _)| *place != primary);
        others.map(|(_, server)| server)
    }

    /// Returns one URL of all servers: `postgres://postgres@127.0.0.1:1,127.0.0.1:2/database`.
    pub fn url(&self, database: &str) -> String {
        let hosts = self.servers.iter().map(|server| format!("127.0.0.1:{}", server.port()));
        let hosts = hosts.collect::<Vec<_>>().join(",");
        format!("postgres://{}@{hosts}/{database}", self.primary().credentials())
    }

    /// Makes the standby the primary, and returns after it accepts writes.
    /// Of several standbys it promotes the one with the most received data.
    /// The others follow it, without a restart.
    ///
    /// From here on [`primary`](Self::primary) is the promoted server.
    /// The old primary stays as it is. Kill it before, or have two primaries.
    /// With several standbys it must have been killed.
    pub async fn promote(&self) {
        let old = self.primary.load(Ordering::SeqCst);
        if self.servers.len() > 2 {
            for standby in self.standbys() {
                // Include the data that arrived until the primary's end.
                standby.run(Node::wait_for_the_end_of_its_stream).await;
            }
        }
        // Promote the standby with most of the log, so that the fewest writes are lost.
        let (mut best, mut received) = (None, 0);
        for (place, server) in self.servers.iter().enumerate().filter(|(place, _)| *place != old) {
            let own = server.run(Node::received).await;
            if best.is_none() || own > received {
                (best, received) = (Some(place), own);
            }
        }
        let best = best.expect("a group has a standby");
        self.servers[best].run(Node::promote).await;
        self.primary.store(best, Ordering::SeqCst);
        // The old primary stays as it is. The caller decides whether to rebuild it.
        let primary = Arc::clone(&self.primary().node);
        for (place, server) in self.servers.iter().enumerate() {
            if place != old && place != best {
                let primary = Arc::clone(&primary);
                server.run(move |standby| standby.follow(&primary)).await;
            }
        }
    }

    /// Makes the other servers standbys of the primary, whatever their roles before.
    ///
    /// They are killed and given a fresh base backup.
    /// When this returns they stream, and confirm commits if synchronous.
    pub async fn rebuild_standby(&self) {
        let primary = self.primary.load(Ordering::SeqCst);
        for place in (0..self.servers.len()).filter(|place| *place != primary) {
            self.rebuild(place).await;
        }
        self.wait_for_standbys().await;
    }

    async fn rebuild(&self, place: usize) {
        let primary = Arc::clone(&self.primary().node);
        self.servers[place].run(move |standby| standby.rebuild_from(&primary)).await;
    }

    async fn wait_for_standbys(&self) {
        let (standbys, synchronous) = (self.servers.len() - 1, self.replication.is_synchronous());
        self.primary().run(move |primary| primary.wait_for_standbys(standbys, synchronous)).await;
    }

    /// Kills the primary with SIGKILL, promotes the standby, and makes the old primary its standby.
    pub async fn fail_over(&self) {
        let old = self.primary.load(Ordering::SeqCst);
        self.primary().kill().await;
        self.promote().await;
        self.rebuild(old).await;
        self.wait_for_standbys().await;
    }

    /// Waits until the standby shows everything written to the primary so far.
    pub async fn wait_caught_up(&self) {
        let standby = Arc::clone(&self.standby().node);
        self.primary().run(move |primary| primary.wait_replayed_by(&standby)).await;
    }

    /// Stops the replay of the standby. It still stores and confirms new data.
    ///
    /// [`resume_replay`](Self::resume_replay) or a promotion ends this.
    pub async fn pause_replay(&self) {
        self.standby()
            .run(|standby| {
                standby.must("postgres", "SELECT pg_wal_replay_pause()");
                // The server first reports `pause requested`, and still replays then.
                wait_until("replay to pause", REPLAY_LIMIT, || {
                    standby.must("postgres", "SELECT pg_get_wal_replay_pause_state()") == "paused"
                });
            })
            .await;
    }

    /// Lets the standby replay again.
    pub async fn resume_replay(&self) {
        let resumed = self.standby().try_execute_in("postgres", "SELECT pg_wal_replay_resume()");
        // What is replayed next may conflict with the statement that resumes, and cancels it then.
        if let Err(error) = resumed.await {
            assert!(error.contains("conflict with recovery"), "{error}");
        }
    }
}

/// A group before its start.
///
/// ```no_run
/// use rsvp_testkit::servers::ReplicatedPostgres;
///
/// # #[tokio::main]
/// # async fn main() {
/// let group = ReplicatedPostgres::builder().standbys(2).start().await;
/// assert_eq!(group.standbys().count(), 2);
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ReplicatedPostgresBuilder {
    options: Options,
    replication: Replication,
    standbys: usize,
}

impl ReplicatedPostgresBuilder {
    /// Sets the number of standbys. Defaults to 1.
    pub fn standbys(mut self, standbys: usize) -> Self {
        assert!(standbys > 0, "a group has a standby");
        self.standbys = standbys;
        self
    }

    /// Sets the confirmation of commits. Defaults to [`Replication::Asynchronous`].
    pub fn replication(mut self, replication: Replication) -> Self {
        self.replication = replication;
        self
    }

    /// Sets a parameter of `postgresql.conf` on all servers. The last value wins.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.options.set(name, value);
        self
    }

    /// Demands `password` (SCRAM-SHA-256) of every client over TCP.
    pub fn password(mut self, password: &str) -> Self {
        self.options.password = Some(password.to_owned());
        self
    }

    /// Starts all servers and returns after the standbys stream.
    pub async fn start(self) -> ReplicatedPostgres {
        let Self { options: chosen, replication, standbys } = self;
        let mut options = Options { password: chosen.password, ..Options::default() };
        // The log that a standby may still need after a busy time,
        // without a slot that could fill the disk.
        options.set("wal_keep_size", "512MB");
        if replication.is_synchronous() {
            options.set("synchronous_standby_names", STANDBY_NAME);
        }
        if replication == Replication::SynchronousApply {
            options.set("synchronous_commit", "remote_apply");
        }
        options.settings.extend(chosen.settings);
        let servers = blocking(move || {
            let primary = Node::start(&options);
            let mut nodes: Vec<_> =
                (0..standbys).map(|_| Node::start_standby(&options, &primary)).collect();
            primary.wait_for_standbys(standbys, replication.is_synchronous());
            nodes.insert(0, primary);
            nodes.into_iter().map(|node| PostgresServer { node: Arc::new(node) }).collect()
        });
        let servers = servers.await;
        ReplicatedPostgres { servers, primary: AtomicUsize::new(0), replication }
    }
}
