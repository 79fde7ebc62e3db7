//! A primary and its streaming standby.

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

/// A primary with one streaming standby, which can change roles any number of times.
///
/// Each server keeps its port. They replicate through Unix sockets, so that a proxy in front of one
/// does not come between them.
///
/// While the standby of a synchronous pair is down, commits on the primary wait for it.
#[derive(Debug)]
pub struct ReplicatedPostgres {
    servers: [PostgresServer; 2],
    primary: AtomicUsize,
    replication: Replication,
}

impl ReplicatedPostgres {
    /// Starts an asynchronous pair that trusts every client.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// A pair with settings of one's own.
    pub fn builder() -> ReplicatedPostgresBuilder {
        ReplicatedPostgresBuilder {
            options: Options::default(),
            replication: Replication::default(),
        }
    }

    /// The server that takes writes.
    pub fn primary(&self) -> &PostgresServer {
        &self.servers[self.primary.load(Ordering::SeqCst)]
    }

    /// The server that follows.
    pub fn standby(&self) -> &PostgresServer {
        &self.servers[1 - self.primary.load(Ordering::SeqCst)]
    }

    /// Both servers in an order that never changes; the first one starts as the primary.
    pub fn servers(&self) -> [&PostgresServer; 2] {
        self.servers.each_ref()
    }

    /// One URL that names both servers: `postgres://postgres@127.0.0.1:1,127.0.0.1:2/database`.
    pub fn url(&self, database: &str) -> String {
        let [first, second] = &self.servers;
        format!(
            "postgres://{}@127.0.0.1:{},127.0.0.1:{}/{database}",
            first.credentials(),
            first.port(),
            second.port()
        )
    }

    /// Makes the standby the primary, and returns once it takes writes.
    ///
    /// From here on [`primary`](Self::primary) is the promoted server. The other one is left as it
    /// is: kill it before, or have two primaries.
    pub async fn promote(&self) {
        self.standby().run(Node::promote).await;
        self.primary.fetch_xor(1, Ordering::SeqCst);
    }

    /// Makes the server that is not the primary a standby of it, whatever it was before.
    ///
    /// It is killed, given a fresh base backup, and streams (and confirms commits, if synchronous)
    /// when this returns.
    pub async fn rebuild_standby(&self) {
        let primary = Arc::clone(&self.primary().node);
        let synchronous = self.replication.is_synchronous();
        self.standby()
            .run(move |standby| {
                standby.rebuild_from(&primary);
                primary.wait_for_standby(synchronous);
            })
            .await;
    }

    /// Kills the primary with SIGKILL, promotes the standby, and makes the old primary its standby.
    pub async fn fail_over(&self) {
        self.primary().kill().await;
        self.promote().await;
        self.rebuild_standby().await;
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

/// A pair that is about to be started.
#[derive(Clone, Debug)]
#[must_use]
pub struct ReplicatedPostgresBuilder {
    options: Options,
    replication: Replication,
}

impl ReplicatedPostgresBuilder {
    /// Sets the confirmation that a commit waits for. Defaults to [`Replication::Asynchronous`].
    pub fn replication(mut self, replication: Replication) -> Self {
        self.replication = replication;
        self
    }

    /// Sets a parameter of `postgresql.conf` on both servers; the last value wins.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.options.set(name, value);
        self
    }

    /// Demands `password` (SCRAM-SHA-256) of everyone who connects over TCP.
    pub fn password(mut self, password: &str) -> Self {
        self.options.password = Some(password.to_owned());
        self
    }

    /// Starts both servers and returns when the standby streams.
    pub async fn start(self) -> ReplicatedPostgres {
        let Self { options: chosen, replication } = self;
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
            let standby = Node::start_standby(&options, &primary);
            primary.wait_for_standby(replication.is_synchronous());
            [primary, standby].map(|node| PostgresServer { node: Arc::new(node) })
        });
        let servers = servers.await;
        ReplicatedPostgres { servers, primary: AtomicUsize::new(0), replication }
    }
}
