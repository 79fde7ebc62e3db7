//! A Redis server for tests.

use std::fmt::{self, Debug, Formatter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::OnceCell;

use super::node::Node;
use crate::servers::wait::blocking;

/// The number of databases of the shared server.
const DATABASES: usize = 4096;

/// A Redis server.
///
/// It listens on a port of its own on 127.0.0.1 and keeps its data in a temporary folder,
/// by default with every acknowledged write on disk. Dropping it kills it and removes its data.
///
/// ```no_run
/// use rsvp_testkit::servers::RedisServer;
///
/// # #[tokio::main]
/// # async fn main() {
/// let server = RedisServer::start().await;
/// server.command(&["SET", "key", "value"]).await;
/// server.restart().await;
/// assert_eq!(server.command(&["GET", "key"]).await, "value");
/// # }
/// ```
pub struct RedisServer {
    pub(super) node: Arc<Node>,
}

impl RedisServer {
    /// Starts a server that keeps every acknowledged write, without a password.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Returns the server shared by all tests of this process. The first test starts it.
    ///
    /// It ends with the process. Tests use databases or key prefixes of their own.
    /// Tests that kill, pause or flush a server start their own.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<RedisServer> = OnceCell::const_new();
        let databases = DATABASES.to_string();
        SHARED.get_or_init(|| Self::builder().setting("databases", &databases).start()).await
    }

    /// Returns the URL of an unused database of the [shared](Self::shared) server,
    /// so that a scan meets no keys of other tests. There are 4,096 for each process.
    ///
    /// ```no_run
    /// use rsvp_testkit::servers::RedisServer;
    ///
    /// # #[tokio::main]
    /// # async fn main() {
    /// let url = RedisServer::database().await;
    /// assert!(url.starts_with("redis://127.0.0.1:"));
    /// # }
    /// ```
    pub async fn database() -> String {
        // A database for each test is cheaper than a server for each.
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let own = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(own < DATABASES, "no more databases");
        format!("{}{own}", Self::shared().await.url())
    }

    /// Returns the URL of this server, with its password if it has one.
    pub fn url(&self) -> String {
        format!("{}://{}127.0.0.1:{}/", self.scheme(), self.credentials(), self.port())
    }

    /// `redis`, or `rediss` over TLS.
    pub(super) fn scheme(&self) -> &'static str {
        if self.node.options().tls.is_some() { "rediss" } else { "redis" }
    }

    pub(super) fn credentials(&self) -> String {
        match &self.node.options().password {
            Some(password) => format!(":{}@", utf8_percent_encode(password, NON_ALPHANUMERIC)),
            None => String::new(),
        }
    }

    /// Returns the TCP port on 127.0.0.1. The server keeps it over restarts.
    pub fn port(&self) -> u16 {
        self.node.port()
    }

    /// Runs one command through `redis-cli` and returns its answer, one line for each element.
    ///
    /// Panics if the command fails or takes more than 30 s.
    pub async fn command(&self, words: &[&str]) -> String {
        self.try_command(words).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs one command as [`command`](Self::command) does, for commands that may fail.
    ///
    /// # Errors
    ///
    /// The output of `redis-cli` if the command failed or took more than 30 s.
    pub async fn try_command(&self, words: &[&str]) -> Result<String, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        self.run(move |node| {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            node.command(&words)
        })
        .await
    }

    /// Removes all keys.
    pub async fn flush(&self) {
        self.command(&["FLUSHALL"]).await;
    }

    /// Kills the server with SIGKILL.
    pub async fn kill(&self) {
        self.run(|node| node.process().kill()).await;
    }

    /// Stops the server in an orderly way.
    pub async fn stop(&self) {
        self.run(Node::stop).await;
    }

    /// Starts a killed or stopped server on its old port and data.
    pub async fn start_again(&self) {
        self.run(Node::start_again).await;
    }

    /// Kills the server with SIGKILL and starts it again.
    pub async fn restart(&self) {
        self.run(|node| {
            node.process().kill();
            node.start_again();
        })
        .await;
    }

    /// Stops the server's process with SIGSTOP. Connections stay open and say nothing.
    ///
    /// ```no_run
    /// use rsvp_testkit::servers::RedisServer;
    ///
    /// # #[tokio::main]
    /// # async fn main() {
    /// let server = RedisServer::start().await;
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

    /// Returns the working folder of the server.
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

impl Debug for RedisServer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisServer").field("port", &self.port()).finish_non_exhaustive()
    }
}

impl From<Node> for RedisServer {
    fn from(node: Node) -> Self {
        Self { node: Arc::new(node) }
    }
}
