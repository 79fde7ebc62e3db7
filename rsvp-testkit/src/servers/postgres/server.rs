//! A Postgres server for tests.

use std::fmt::{self, Debug, Formatter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::OnceCell;

use super::config::Options;
use super::node::Node;
use crate::servers::wait::blocking;

/// A Postgres server of the newest installed version.
///
/// It listens on a port of its own on 127.0.0.1, keeps its data in a temporary folder,
/// and is as durable as in production: `fsync`, `synchronous_commit` and `full_page_writes` are on.
/// Its superuser is `postgres`.
/// If root runs the tests, the server runs as the user `postgres` or `nobody`.
/// Dropping it kills it and removes its data.
///
/// ```no_run
/// use rsvp_testkit::servers::PostgresServer;
///
/// # #[tokio::main]
/// # async fn main() {
/// let server = PostgresServer::start().await;
/// server.execute("CREATE TABLE t (n int)").await;
/// server.restart().await;
/// assert_eq!(server.execute("SELECT count(*) FROM t").await, "0");
/// # }
/// ```
pub struct PostgresServer {
    pub(super) node: Arc<Node>,
}

impl PostgresServer {
    /// Starts a server that trusts every client.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Makes a builder of a server with custom settings or a password.
    pub fn builder() -> PostgresBuilder {
        PostgresBuilder { options: Options::default() }
    }

    /// Returns the server shared by all tests of this process. The first test starts it.
    ///
    /// It ends with the process. Give each test its own [`create_database`](Self::create_database),
    /// and leave the server running. Tests that kill or pause a server start their own.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<PostgresServer> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await
    }

    /// Creates a database with a name unique in this process, and returns its URL.
    ///
    /// ```no_run
    /// use rsvp_testkit::servers::PostgresServer;
    ///
    /// # #[tokio::main]
    /// # async fn main() {
    /// let url = PostgresServer::shared().await.create_database().await;
    /// assert!(url.starts_with("postgres://postgres@127.0.0.1:"));
    /// # }
    /// ```
    pub async fn create_database(&self) -> String {
        // Tests of one process share a server, so each database needs a name of its own.
        static CREATED: AtomicUsize = AtomicUsize::new(0);
        let name = format!("test_{}", CREATED.fetch_add(1, Ordering::Relaxed));
        self.execute(&format!("CREATE DATABASE {name}")).await;
        self.url(&name)
    }

    /// Returns the URL of a database of this server, with its password if it has one.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{}@127.0.0.1:{}/{database}", self.credentials(), self.port())
    }

    pub(super) fn credentials(&self) -> String {
        match &self.node.options().password {
            Some(password) => {
                format!("postgres:{}", utf8_percent_encode(password, NON_ALPHANUMERIC))
            }
            None => "postgres".to_owned(),
        }
    }

    /// Returns the TCP port on 127.0.0.1. The server keeps it over restarts.
    pub fn port(&self) -> u16 {
        self.node.port()
    }

    /// Runs SQL in the database `postgres`, as [`execute_in`](Self::execute_in) does.
    pub async fn execute(&self, sql: &str) -> String {
        self.execute_in("postgres", sql).await
    }

    /// Runs SQL statements through `psql`, each in its own transaction, and returns their rows.
    ///
    /// Rows are lines, columns are separated by `|`, and NULL is empty.
    /// `database` is a name, or the URL of a database.
    /// Panics if a statement fails or all take more than a minute.
    ///
    /// ```no_run
    /// use rsvp_testkit::servers::PostgresServer;
    ///
    /// # #[tokio::main]
    /// # async fn main() {
    /// let server = PostgresServer::shared().await;
    /// let database = server.create_database().await;
    /// assert_eq!(server.execute_in(&database, "SELECT 1, NULL").await, "1|");
    /// # }
    /// ```
    pub async fn execute_in(&self, database: &str, sql: &str) -> String {
        self.try_execute_in(database, sql).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs SQL as [`execute_in`](Self::execute_in) does, for statements that may fail.
    ///
    /// # Errors
    ///
    /// The output of `psql` if a statement failed or took more than a minute.
    pub async fn try_execute_in(&self, database: &str, sql: &str) -> Result<String, String> {
        let (database, sql) = (database.to_owned(), sql.to_owned());
        self.run(move |node| node.sql(&database, &sql)).await
    }

    /// Kills the server and all its backends with SIGKILL.
    pub async fn kill(&self) {
        self.run(|node| node.process().kill()).await;
    }

    /// Stops the server in an orderly way.
    /// It rolls open transactions back and writes a checkpoint.
    pub async fn stop(&self) {
        self.run(|node| node.stop()).await;
    }

    /// Starts a killed or stopped server on its old port and data.
    pub async fn start_again(&self) {
        self.run(|node| node.start_again()).await;
    }

    /// Kills the server with SIGKILL and starts it again.
    pub async fn restart(&self) {
        self.run(|node| {
            node.process().kill();
            node.start_again();
        })
        .await;
    }

    /// Stops every process of the server with SIGSTOP. Connections stay open and say nothing.
    ///
    /// The kernel accepts new connections, and they get no answer either.
    ///
    /// ```no_run
    /// use rsvp_testkit::servers::PostgresServer;
    ///
    /// # #[tokio::main]
    /// # async fn main() {
    /// let server = PostgresServer::start().await;
    /// server.pause().await;
    /// // A call of a store must end by its deadline now.
    /// server.resume().await;
    /// # }
    /// ```
    pub async fn pause(&self) {
        self.run(|node| node.process().pause()).await;
    }

    /// Lets a paused server run again.
    pub async fn resume(&self) {
        self.run(|node| node.process().resume()).await;
    }

    /// Returns the working folder of all processes of the server.
    pub fn folder(&self) -> &Path {
        self.node.folder()
    }

    /// Returns the path of the server's log. It exists until the server is dropped.
    pub fn log_path(&self) -> PathBuf {
        self.node.process().log_path()
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Node) -> T + Send + 'static,
    ) -> T {
        let node = Arc::clone(&self.node);
        blocking(move || work(&node)).await
    }
}

impl Debug for PostgresServer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresServer").field("port", &self.port()).finish_non_exhaustive()
    }
}

/// A server before its start.
///
/// ```no_run
/// use rsvp_testkit::servers::PostgresServer;
///
/// # #[tokio::main]
/// # async fn main() {
/// let builder = PostgresServer::builder().setting("max_connections", "20");
/// let server = builder.password("secret").start().await;
/// assert!(server.url("postgres").contains("secret"));
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct PostgresBuilder {
    options: Options,
}

impl PostgresBuilder {
    /// Sets a parameter of `postgresql.conf`. The last value wins.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.options.set(name, value);
        self
    }

    /// Demands `password` (SCRAM-SHA-256) of every client over TCP.
    pub fn password(mut self, password: &str) -> Self {
        self.options.password = Some(password.to_owned());
        self
    }

    /// Starts the server and returns after it accepts connections.
    pub async fn start(self) -> PostgresServer {
        let node = blocking(move || Node::start(&self.options)).await;
        PostgresServer { node: Arc::new(node) }
    }
}
