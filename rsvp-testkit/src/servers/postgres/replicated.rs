//! A primary and its streaming standbys.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::config::Options;
use super::node::{Node, STANDBY_NAME};
use super::server::PostgresServer;
use crate::servers::wait::{blocking, wait_until};

const REPLAY_LIMIT: Duration = Duration::from_secs(30);

/// The confirmation that a commit on the primary waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replication {
    /// The primary's disk only; the standby lags behind.
    #[default]
    Asynchronous,
    /// The disks of both (`synchronous_commit = on`): a promotion loses nothing acknowledged.
    Synchronous,
    /// Also its visibility on the standby (`synchronous_commit = remote_apply`).
    ///
    /// While replay is paused, commits wait.
    SynchronousApply,
}

impl Replication {
    fn is_synchronous(self) -> bool {
        self != Self::Asynchronous
    }
}

/// A primary with streaming standbys, by default one, which can change roles any number of times.
///
/// Each server keeps its port. They replicate through Unix sockets, so that a proxy in front of one
/// does not come between them.
///
/// Of the standbys of a synchronous group one at a time confirms commits. While all are down, commits
/// on the primary wait for them.
#[derive(Debug)]
pub struct ReplicatedPostgres {
    servers: Vec<PostgresServer>,
    primary: AtomicUsize,
    replication: Replication,
}

impl ReplicatedPostgres {
    /// Starts a primary and an asynchronous standby that trusts every client.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// A group with settings of one's own.
    pub fn builder() -> ReplicatedPostgresBuilder {
        ReplicatedPostgresBuilder {
            options: Options::default(),
            replication: Replication::default(),
            standbys: 1,
        }
    }

    /// The server that takes writes.
    pub fn primary(&self) -> &PostgresServer {
        &self.servers[self.primary.load(Ordering::SeqCst)]
    }

    /// The server that follows, the first of several.
    pub fn standby(&self) -> &PostgresServer {
        let mut standbys = self.standbys();
        standbys.next().expect("a group has a standby")
    }

    /// The servers that follow.
    pub fn standbys(&self) -> impl Iterator<Item = &PostgresServer> {
        let primary = self.primary.load(Ordering::SeqCst);
        let others = self.servers.iter().enumerate().filter(move |(place, _)| *place != primary);
        others.map(|(_, server)| server)
    }

    /// One URL that names all servers: `postgres://postgres@127.0.0.1:1,127.0.0.1:2/database`.
    pub fn url(&self, database: &str) -> String {
        let hosts = self.servers.iter().map(|server| format!("127.0.0.1:{}", server.port()));
        let hosts = hosts.collect::<Vec<_>>().join(",");
        format!("postgres://{}@{hosts}/{database}", self.primary().credentials())
    }

    /// Makes the standby the primary, of several the one that has received most, and returns once it
    /// takes writes. The other standbys follow it, without a restart.
    ///
    /// From here on [`primary`](Self::primary) is the promoted server. The one before is left as it
    /// is: kill it before, or have two primaries. With several standbys it must have been killed.
    pub async fn promote(&self) {
        let old = self.primary.load(Ordering::SeqCst);
        if self.servers.len() > 2 {
            for standby in self.standbys() {
                // What has arrived by the primary's end counts, too.
                standby.run(Node::wait_for_the_end_of_its_stream).await;
            }
        }
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
        let primary = Arc::clone(&self.primary().node);
        for (place, server) in self.servers.iter().enumerate() {
            if place != old && place != best {
                let primary = Arc::clone(&primary);
                server.run(move |standby| standby.follow(&primary)).await;
            }
        }
    }

    /// Makes the servers that are not the primary standbys of it, whatever they were before.
    ///
    /// They are killed, given a fresh base backup, and stream (and confirm commits, if synchronous)
    /// when this returns.
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

    /// Waits until the standby shows everything that has been written to the primary so far.
    pub async fn wait_caught_up(&self) {
        let standby = Arc::clone(&self.standby().node);
        self.primary().run(move |primary| primary.wait_replayed_by(&standby)).await;
    }

    /// Stops the standby from showing what it receives; it still stores and confirms it.
    ///
    /// Ends with [`resume_replay`](Self::resume_replay) or a promotion.
    pub async fn pause_replay(&self) {
        self.standby()
            .run(|standby| {
                standby.must("postgres", "SELECT pg_wal_replay_pause()");
                wait_until("replay to pause", REPLAY_LIMIT, || {
                    standby.must("postgres", "SELECT pg_get_wal_replay_pause_state()") == "paused"
                });
            })
            .await;
    }

    /// Lets the standby show what it receives again.
    pub async fn resume_replay(&self) {
        self.standby().execute("SELECT pg_wal_replay_resume()").await;
    }
}

/// A group that is about to be started.
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

    /// Sets the confirmation that a commit waits for. Defaults to [`Replication::Asynchronous`].
    pub fn replication(mut self, replication: Replication) -> Self {
        self.replication = replication;
        self
    }

    /// Sets a parameter of `postgresql.conf` on all servers; the last value wins.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.options.set(name, value);
        self
    }

    /// Demands `password` (SCRAM-SHA-256) of everyone who connects over TCP.
    pub fn password(mut self, password: &str) -> Self {
        self.options.password = Some(password.to_owned());
        self
    }

    /// Starts all servers and returns when the standbys stream.
    pub async fn start(self) -> ReplicatedPostgres {
        let Self { options: chosen, replication, standbys } = self;
        let mut options = Options { password: chosen.password, ..Options::default() };
        // What a standby may still ask for after a busy time, without a slot that could fill the disk.
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
