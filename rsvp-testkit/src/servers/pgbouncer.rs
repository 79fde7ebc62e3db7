//! PgBouncer in front of a Postgres server.

use std::fmt::{self, Debug, Formatter};
use std::fs;
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::port::PortLease;
use super::postgres::{PostgresServer, unprivileged};
use super::process::ServerProcess;
use super::temp_dir::new_folder;
use super::wait::{blocking, poll};

const START_LIMIT: Duration = Duration::from_secs(60);

/// The number of ports that a start tries, because another program may take a free port first.
const START_ATTEMPTS: usize = 5;

/// The time for which PgBouncer lends a session of the server to a client.
///
/// ```no_run
/// use rsvp_testkit::servers::{Lending, PgBouncer, PostgresServer};
///
/// # #[tokio::main]
/// # async fn main() {
/// let server = PostgresServer::shared().await;
/// // A store must work with both.
/// for lending in [Lending::Session, Lending::Transaction] {
///     let pool = PgBouncer::start(server, lending, 5).await;
///     println!("{lending:?}: {}", pool.port());
/// }
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lending {
    /// As long as the client stays connected.
    Session,
    /// For one transaction at a time.
    Transaction,
}

/// PgBouncer in front of all databases of a server on 127.0.0.1, with default settings except one:
/// it closes idle sessions after 5 s, because every test has a database of its own.
///
/// It trusts every client and logs in to the server as `postgres`. Dropping it kills it.
///
/// ```no_run
/// use rsvp_testkit::servers::{Lending, PgBouncer, PostgresServer};
///
/// # #[tokio::main]
/// # async fn main() {
/// let server = PostgresServer::shared().await;
/// let pool = PgBouncer::start(server, Lending::Transaction, 5).await;
/// println!("postgres://postgres@127.0.0.1:{}/postgres", pool.port());
/// # }
/// ```
pub struct PgBouncer {
    node: Arc<Node>,
}

#[derive(Debug)]
struct Node {
    process: ServerProcess,
    port: PortLease,
    _folder: TempDir,
}

impl PgBouncer {
    /// Starts it in front of `server`.
    ///
    /// It has `sessions` sessions for each database and user.
    pub async fn start(server: &PostgresServer, lending: Lending, sessions: usize) -> Self {
        let server = server.port();
        let node = blocking(move || Node::start(server, lending, sessions)).await;
        Self { node: Arc::new(node) }
    }

    /// Returns the TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.node.port.port()
    }

    /// Kills it with SIGKILL.
    pub async fn kill(&self) {
        let node = Arc::clone(&self.node);
        blocking(move || node.process.kill()).await;
    }
}

impl Debug for PgBouncer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgBouncer").field("port", &self.port()).finish_non_exhaustive()
    }
}

impl Node {
    fn start(server: u16, lending: Lending, sessions: usize) -> Self {
        for _ in 0..START_ATTEMPTS {
            let (folder, port) = (new_folder("pgbouncer"), PortLease::take());
            let pool_mode = match lending {
                Lending::Session => "session",
                Lending::Transaction => "transaction",
            };
            let config = format!(
                "[databases]\n* = host=127.0.0.1 port={server}\n[pgbouncer]\n\
                 listen_addr = 127.0.0.1\nlisten_port = {}\nunix_socket_dir =\n\
                 auth_type = trust\nauth_file = users.txt\npool_mode = {pool_mode}\n\
                 default_pool_size = {sessions}\nmax_client_conn = 500\n\
                 server_idle_timeout = 5\n",
                port.port()
            );
            let file = |name: &str, text: &str| {
                let path = folder.path().join(name);
                fs::write(&path, text).expect("the folder takes a file");
                unprivileged::give(&path);
            };
            unprivileged::give(folder.path());
            file("pgbouncer.ini", &config);
            file("users.txt", "\"postgres\" \"\"\n\"app\" \"\"\n");
            let process = ServerProcess::new(folder.path());
            let node = Self { process, port, _folder: folder };
            if node.launch() {
                return node;
            }
        }
        panic!("no PgBouncer could keep its port in {START_ATTEMPTS} attempts");
    }

    /// Starts the process. Returns false if another program has taken its port.
    fn launch(&self) -> bool {
        // Debian keeps it in /usr/sbin, a folder missing in the PATH of many users.
        let found = ["/usr/sbin/pgbouncer", "/usr/local/bin/pgbouncer"].into_iter();
        let program = found.into_iter().find(|program| fs::exists(program).unwrap_or(false));
        let installed = |program| Command::new(program).arg("--version").output().is_ok();
        let program = program.unwrap_or("pgbouncer");
        assert!(installed(program), "no pgbouncer found: apt-get install pgbouncer");
        let mut command = unprivileged::command(program);
        command.arg("pgbouncer.ini");
        self.process.spawn(command);
        let outcome = poll(START_LIMIT, || {
            // PgBouncer is ready when it accepts a connection.
            if TcpStream::connect(("127.0.0.1", self.port.port())).is_ok() {
                return Some(true);
            }
            self.process.exited().map(|_| false)
        });
        let log = self.process.log_tail();
        match outcome {
            Some(true) => true,
            Some(false) if log.contains("in use") => false,
            _ => panic!("PgBouncer did not start; its log ends:\n{log}"),
        }
    }
}
