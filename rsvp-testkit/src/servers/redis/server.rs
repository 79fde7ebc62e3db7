//! One Redis server, as tests use it.

use std::fmt::{self, Debug, Formatter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::sync::OnceCell;

use super::node::Node;
use crate::servers::wait::blocking;

/// The databases of the shared server.
const DATABASES: usize = 4096;

/// A Redis server.
///
/// It listens on a port of its own on 127.0.0.1 and keeps its data in a temporary folder, by default
/// with every acknowledged write on disk. Dropping it kills it and removes its data.
pub struct RedisServer {
    pub(super) node: Arc<Node>,
}

impl RedisServer {
    /// Starts a server that keeps every acknowledged write and asks for no password.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// The server that all tests of this process share, started by the first of them.
    ///
    /// It ends with the process. Tests keep apart by databases or key prefixes of their own, and
    /// those that kill, pause or flush a server start their own.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<RedisServer> = OnceCell::const_new();
        let databases = DATABASES.to_string();
        SHARED.get_or_init(|| Self::builder().setting("databases", &databases).start()).await
    }

    /// The URL of a database of the [shared](Self::shared) server that no other test has, so that a
    /// scan meets no keys of others. There are 4,096 for each process.
    pub async fn database() -> String {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let own = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(own < DATABASES, "no more databases");
        format!("{}{own}", Self::shared().await.url())
    }

    /// The URL of this server, with its password if it has one.
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

    /// The TCP port on 127.0.0.1, which the server keeps over restarts.
    pub fn port(&self) -> u16 {
        self.node.port()
    }

    /// Runs one command through `redis-cli` and returns its answer, one line for each element.
    ///
    /// Panics when the command fails or takes more than half a minute.
    pub async fn command(&self, words: &[&str]) -> String {
        self.try_command(words).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs one command as [`command`](Self::command) does, for commands that may fail.
    ///
    /// # Errors
    /// The output of `redis-cli` when the command failed or took more than half a minute.
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

    /// Stops the server in order.
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

    /// Stops the server's process with SIGSTOP: connections stay open and say nothing.
    pub async fn pause(&self) {
        self.run(|node| node.process().pause()).await;
    }

    /// Lets a paused server run again.
    pub async fn resume(&self) {
        self.run(|node| node.process().resume()).await;
    }

    /// The folder in which the server works.
    pub fn folder(&self) -> &Path {
        self.node.folder()
    }

    /// The file that holds the server's log, for as long as the server is not dropped.
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
