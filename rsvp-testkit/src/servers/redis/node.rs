//! One Redis server, controlled from blocking code.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::config::{self, Options, RedisTls};
use crate::servers::client;
use crate::servers::port::PortLease;
use crate::servers::process::ServerProcess;
use crate::servers::temp_dir::new_folder;
use crate::servers::wait::{poll, wait_until};

/// The environment variable with the path of the server program, such as Valkey's.
/// Defaults to `redis-server` in `PATH`.
const PROGRAM: &str = "RSVP_REDIS_SERVER";

/// Returns the server program.
pub(super) fn program() -> OsString {
    env::var_os(PROGRAM).unwrap_or_else(|| "redis-server".into())
}

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(30);
const COMMAND_LIMIT: Duration = Duration::from_secs(30);
const SYNC_LIMIT: Duration = Duration::from_secs(60);

/// The number of ports that a first start tries,
/// because another program may take a free port first.
const START_ATTEMPTS: usize = 5;

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
    /// Starts an empty server. It follows the one on port `primary`, if given.
    pub(super) fn start(options: &Options, primary: Option<u16>) -> Self {
        for program in ["redis-server", "redis-cli"] {
            assert!(
                client::is_installed(program),
                "no {program} found in PATH: apt-get install redis-server"
            );
        }
        for _ in 0..START_ATTEMPTS {
            let folder = new_folder("redis");
            let process = ServerProcess::new(folder.path());
            let node = Self { process, port: PortLease::take(), options: options.clone(), folder };
            node.configure(primary);
            if node.launch().is_ok() {
                return node;
            }
        }
        panic!("no Redis server could keep its port in {START_ATTEMPTS} attempts");
    }

    /// Sets the role of the server for its next start.
    pub(super) fn configure(&self, primary: Option<u16>) {
        let path = self.folder.path().join("redis.conf");
        config::write(&path, self.port(), &self.options, primary);
    }

    fn launch(&self) -> Result<(), PortTaken> {
        let mut command = Command::new(program());
        command.arg("redis.conf");
        self.process.spawn(command);
        let outcome = poll(START_LIMIT, || {
            // An exit comes first, because another program on the port could answer the `PING`.
            if let Some(status) = self.process.exited() {
                return Some(Err(status));
            }
            (self.command(&["PING"]).ok()? == "PONG").then_some(Ok(()))
        });
        let log = self.process.log_tail();
        match outcome {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) if log.contains("Address already in use") => Err(PortTaken),
            Some(Err(status)) => panic!("Redis ended, {status}; its log ends:\n{log}"),
            None => panic!("Redis is not ready after {START_LIMIT:?}; its log ends:\n{log}"),
        }
    }

    /// Starts the server on its old port and data.
    pub(super) fn start_again(&self) {
        let started = self.launch();
        assert!(started.is_ok(), "another program listens on port {}", self.port());
    }

    pub(super) fn stop(&self) {
        self.process.stop(Signal::SIGTERM, STOP_LIMIT);
    }

    /// Returns a `redis-cli` command for this server.
    pub(super) fn client(&self) -> Command {
        let mut client = Command::new("redis-cli");
        // `-e` makes the client fail if the command fails.
        client.args(["-e", "-h", "127.0.0.1", "-p", &self.port().to_string()]);
        client.env_remove("REDISCLI_AUTH");
        if let Some(RedisTls { ca, certificate, key }) = &self.options.tls {
            client.arg("--tls").arg("--cacert").arg(ca);
            client.arg("--cert").arg(certificate).arg("--key").arg(key);
        }
        if let Some(password) = &self.options.password {
            // The list of processes shows arguments to everybody, but not the environment.
            client.env("REDISCLI_AUTH", password);
        }
        client
    }

    /// Runs one command and returns its answer.
    pub(super) fn command(&self, words: &[&str]) -> Result<String, String> {
        let mut client = self.client();
        client.args(words);
        Ok(client::run(client, "", COMMAND_LIMIT)?.trim_end().to_owned())
    }

    /// Runs a command, and panics if it fails.
    pub(super) fn must(&self, words: &[&str]) -> String {
        self.command(words).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Returns one field of an answer of `name:value` lines.
    pub(super) fn field(&self, words: &[&str], name: &str) -> Option<String> {
        let answer = self.command(words).ok()?;
        let mut fields = answer.lines().filter_map(|line| line.trim_end().split_once(':'));
        fields.find(|(field, _)| *field == name).map(|(_, value)| value.to_owned())
    }

    /// Returns whether this server follows another one and is connected to it.
    pub(super) fn follows(&self) -> bool {
        self.field(&["INFO", "replication"], "master_link_status").as_deref() == Some("up")
    }

    /// Waits until this replica has received everything written to `primary` so far.
    pub(super) fn wait_for_all_of(&self, primary: &Self) {
        let offset = |node: &Self, name| -> Option<u64> {
            node.field(&["INFO", "replication"], name)?.parse().ok()
        };
        let given = offset(primary, "master_repl_offset").expect("the primary knows its offset");
        wait_until("the replica to catch up", SYNC_LIMIT, || {
            // The offset without the link may be the offset of an earlier connection.
            self.follows() && offset(self, "slave_repl_offset").is_some_and(|own| own >= given)
        });
    }

    pub(super) fn process(&self) -> &ServerProcess {
        &self.process
    }

    pub(super) fn port(&self) -> u16 {
        self.port.port()
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }
}
