//! The settings of a server.

use std::time::Duration;

/// The time-outs and bounds of a [`Server`](super::Server).
///
/// ```
/// use std::time::Duration;
/// use rsvp_axum::ServerConfig;
///
/// let config = ServerConfig::default()
///     .with_keep_alive(Duration::from_secs(75))
///     .with_max_connections(1000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerConfig {
    /// How long a connection may wait for its next request. Defaults to 620 s.
    ///
    /// It must be longer than the idle time of balancers. Otherwise they send requests into closing
    /// connections.
    pub keep_alive: Duration,
    /// How long the head of a request may take, from its first byte. Defaults to 10 s.
    ///
    /// The time of the first request counts from the beginning of the connection.
    pub head_timeout: Duration,
    /// How long the body of a request may take. Defaults to 20 s.
    ///
    /// The routes of the store have a limit of 10 s of their own.
    pub body_timeout: Duration,
    /// How long a client may take to read a waiting answer. Defaults to 15 s.
    ///
    /// It must be well below `shutdown`. Otherwise a client that does not read holds up the end of
    /// the server.
    pub read_timeout: Duration,
    /// The maximum number of connections. Defaults to 4,096.
    ///
    /// A further connection replaces the one that has waited longest for its client.
    /// The number must be below the limit of open files.
    pub max_connections: usize,
    /// The maximum number of bytes of unread answers in memory. Defaults to 128 MiB.
    ///
    /// Above it, the server closes the connection whose client has not read for the longest time.
    pub max_unread_bytes: usize,
    /// How long the server accepts requests after the first signal, with `/readyz` at 503.
    /// Defaults to 5 s.
    ///
    /// It must be longer than the time of balancers to notice the 503.
    pub drain: Duration,
    /// How long requests in flight may take after the drain. Defaults to 30 s.
    pub shutdown: Duration,
}

impl ServerConfig {
    /// Sets how long a connection may wait for its next request.
    #[must_use]
    pub fn with_keep_alive(self, keep_alive: Duration) -> Self {
        Self { keep_alive, ..self }
    }

    /// Sets how long the head of a request may take.
    #[must_use]
    pub fn with_head_timeout(self, head_timeout: Duration) -> Self {
        Self { head_timeout, ..self }
    }

    /// Sets how long the body of a request may take.
    #[must_use]
    pub fn with_body_timeout(self, body_timeout: Duration) -> Self {
        Self { body_timeout, ..self }
    }

    /// Sets how long a client may take to read a waiting answer.
    #[must_use]
    pub fn with_read_timeout(self, read_timeout: Duration) -> Self {
        Self { read_timeout, ..self }
    }

    /// Sets the maximum number of connections, at least 1.
    #[must_use]
    pub fn with_max_connections(self, max_connections: usize) -> Self {
        Self { max_connections: max_connections.max(1), ..self }
    }

    /// Sets the maximum number of bytes of unread answers in memory.
    #[must_use]
    pub fn with_max_unread_bytes(self, max_unread_bytes: usize) -> Self {
        Self { max_unread_bytes, ..self }
    }

    /// Sets how long the server accepts requests after the first signal.
    #[must_use]
    pub fn with_drain(self, drain: Duration) -> Self {
        Self { drain, ..self }
    }

    /// Sets how long requests in flight may take after the drain.
    #[must_use]
    pub fn with_shutdown(self, shutdown: Duration) -> Self {
        Self { shutdown, ..self }
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            keep_alive: seconds(620),
            head_timeout: seconds(10),
            body_timeout: seconds(20),
            read_timeout: seconds(15),
            max_connections: 4096,
            max_unread_bytes: 128 << 20,
            drain: seconds(5),
            shutdown: seconds(30),
        }
    }
}
