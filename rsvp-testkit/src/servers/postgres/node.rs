//! One Postgres server, controlled from blocking code.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::config::{self, Options};
use super::data;
use super::installation::Installation;
use crate::servers::client;
use crate::servers::port::PortLease;
use crate::servers::process::ServerProcess;
use crate::servers::temp_dir::new_folder;
use crate::servers::wait::{poll, wait_until};

/// The bound on a start with recovery after a kill, on a busy machine too.
const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(60);
const SQL_LIMIT: Duration = Duration::from_secs(60);
const STREAM_LIMIT: Duration = Duration::from_secs(60);

/// The number of ports that a first start tries,
/// because another program may take a free port first.
const START_ATTEMPTS: usize = 5;

/// The name of a standby at its primary.
pub(super) const STANDBY_NAME: &str = "rsvp_standby";

#[derive(Debug)]
pub(super) struct Node {
    process: ServerProcess,
    port: PortLease,
    options: Options,
    folder: TempDir,
}

/// The error of a start on an occupied port.
#[derive(Debug)]
struct PortTaken;

impl Node {
    /// Starts a primary without data.
    pub(super) fn start(options: &Options) -> Self {
        let node = Self::start_with(options, |node| {
            data::copy_template(&node.data());
            node.configure(None);
        });
        if let Some(password) = &options.password {
            let password = password.replace('\'', "''");
            // A standby that does not exist yet cannot confirm.
            node.must("postgres", &format!(
                "SET synchronous_commit = local; SET log_statement = 'none'; ALTER ROLE postgres PASSWORD '{password}';"
            ));
        }
        node
    }

    /// Starts a standby of `primary`.
    pub(super) fn start_standby(options: &Options, primary: &Self) -> Self {
        Self::start_with(options, |node| node.copy_from(primary))
    }

    fn start_with(options: &Options, fill: impl Fn(&Self)) -> Self {
        for _ in 0..START_ATTEMPTS {
            let folder = new_folder("postgres");
            Installation::get().give(folder.path());
            let process = ServerProcess::new(folder.path());
            let node = Self { process, port: PortLease::take(), options: options.clone(), folder };
            fill(&node);
            if node.launch().is_ok() {
                return node;
            }
        }
        panic!("no Postgres server could keep its port in {START_ATTEMPTS} attempts");
    }

    /// Kills this server, whatever its role, and makes it a standby of `primary`.
    pub(super) fn rebuild_from(&self, primary: &Self) {
        self.process.kill();
        // The old data may have writes unknown to the primary. A server with them cannot follow.
        data::remove(&self.data());
        self.copy_from(primary);
        self.start_again();
    }

    fn copy_from(&self, primary: &Self) {
        data::copy_running(&self.data(), primary.folder.path(), primary.port());
        let signal = self.data().join("standby.signal");
        fs::write(&signal, "").expect("the data folder takes a file");
        Installation::get().give(&signal);
        self.configure(Some(primary));
    }

    fn configure(&self, primary: Option<&Self>) {
        let address = primary.map(|primary| {
            let sockets = primary.folder.path().display();
            let port = primary.port();
            format!("host={sockets} port={port} user=postgres application_name={STANDBY_NAME}")
        });
        config::write(self.folder.path(), self.port(), &self.options, address.as_deref());
    }

    fn launch(&self) -> Result<(), PortTaken> {
        let data = self.data();
        let mut command = Installation::get().command("postgres");
        let config = self.folder.path().join("server.conf");
        command.arg("-D").arg(&data).arg("-c");
        command.arg(format!("config_file={}", config.display()));
        self.process.spawn(command);
        let id = self.process.id().unwrap_or_default();
        let outcome = poll(START_LIMIT, || {
            // `postmaster.pid` tells the state without a connection.
            if data::is_ready(&data, id) {
                return Some(Ok(()));
            }
            self.process.exited().map(Err)
        });
        let log = self.process.log_tail();
        match outcome {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) if log.contains("Address already in use") => Err(PortTaken),
            Some(Err(status)) => panic!("Postgres ended, {status}; its log ends:\n{log}"),
            None => panic!("Postgres is not ready after {START_LIMIT:?}; its log ends:\n{log}"),
        }
    }

    /// Starts the server on its old port and data.
    pub(super) fn start_again(&self) {
        let started = self.launch();
        assert!(started.is_ok(), "another program listens on port {}", self.port());
    }

    pub(super) fn stop(&self) {
        self.process.stop(Signal::SIGINT, STOP_LIMIT);
    }

    pub(super) fn process(&self) -> &ServerProcess {
        &self.process
    }

    /// Runs SQL through the server's own socket, in one session.
    pub(super) fn sql(&self, database: &str, sql: &str) -> Result<String, String> {
        let mut psql = Installation::get().command("psql");
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--no-password"])
            .arg("--set=ON_ERROR_STOP=1")
            .arg("--username=postgres")
            .arg("--host")
            .arg(self.folder.path())
            .arg(format!("--port={}", self.port()))
            .args(["--dbname", database]);
        let output = client::run(psql, sql, SQL_LIMIT)?;
        Ok(output.trim_end().to_owned())
    }

    /// Runs SQL, and panics if it fails.
    pub(super) fn must(&self, database: &str, sql: &str) -> String {
        self.sql(database, sql).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Makes a standby a primary, and returns after it accepts writes.
    pub(super) fn promote(&self) {
        self.must("postgres", "SELECT pg_promote(true, 60)");
        // `pg_promote` also returns at its own time limit, so check the result.
        wait_until("the promoted server to take writes", STREAM_LIMIT, || {
            self.must("postgres", "SELECT pg_is_in_recovery()") == "f"
        });
    }

    /// Waits until this number of standbys stream from this server.
    /// If `synchronous`, one of them must also confirm its commits.
    pub(super) fn wait_for_standbys(&self, standbys: usize, synchronous: bool) {
        let sql = format!(
            "SELECT count(*), count(*) FILTER (WHERE sync_state = 'sync') FROM pg_stat_replication \
             WHERE application_name = '{STANDBY_NAME}' AND state = 'streaming'"
        );
        let expected = format!("{standbys}|{}", u8::from(synchronous));
        wait_until("the standbys to stream", STREAM_LIMIT, || {
            self.must("postgres", &sql) == expected
        });
    }

    /// Waits until this standby of a killed primary receives nothing any more.
    pub(super) fn wait_for_the_end_of_its_stream(&self) {
        let streams = "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'";
        wait_until("the stream to end", STREAM_LIMIT, || self.must("postgres", streams) == "0");
    }

    /// Returns the position in the log that this standby has received or replayed, in bytes.
    pub(super) fn received(&self) -> u64 {
        // Without a stream since its start, a standby knows only its replayed position.
        let sql = "SELECT greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) - '0/0'";
        self.must("postgres", sql).parse().expect("a number of bytes")
    }

    /// Makes a running standby follow another primary, without a restart.
    pub(super) fn follow(&self, primary: &Self) {
        self.configure(Some(primary));
        self.must("postgres", "SELECT pg_reload_conf()");
    }

    /// Waits until `standby` has replayed everything that this server has written so far.
    pub(super) fn wait_replayed_by(&self, standby: &Self) {
        let written = self.must("postgres", "SELECT pg_current_wal_lsn()");
        let sql = format!("SELECT pg_last_wal_replay_lsn() >= '{written}'::pg_lsn");
        wait_until("the standby to catch up", STREAM_LIMIT, || {
            standby.must("postgres", &sql) == "t"
        });
    }

    pub(super) fn port(&self) -> u16 {
        self.port.port()
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    pub(super) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.process.kill();
        data::remove(&self.data());
    }
}
