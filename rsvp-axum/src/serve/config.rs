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
    /// How long a connection may wait for its next request. Defaults to 620 s, which is longer than
    /// balancers keep idle connections: they would send requests into closing ones.
    pub keep_alive: Duration,
    /// How long the head of a request may take, from its first byte, or of the first request from the
    /// beginning of the connection. Defaults to 10 s.
    pub head_timeout: Duration,
    /// How long the body of a request may take. Defaults to 20 s. The routes of the store give a body
    /// 10 s.
    pub body_timeout: Duration,
    /// How long a client may take to read what is there for it. Defaults to 15 s. It must be well below
    /// `shutdown`, or a client that does not read holds up the end of the server.
    pub read_timeout: Duration,
    /// The most connections. Of those beyond, each takes the place of the one that has waited longest
    /// for its client. Defaults to 4,096, and must be below the limit of open files.
    pub max_connections: usize,
    /// The most bytes of answers in memory that clients have not read. Beyond, the client that has not
    /// read for the longest time is let go. Defaults to 128 MiB.
    pub max_unread_bytes: usize,
    /// How long requests are served after the first signal, with `/readyz` at 503, before the server
    /// stops to listen. Defaults to 5 s. It must be longer than balancers take to notice.
    pub drain: Duration,
    /// How long requests in flight may take after that. Defaults to 30 s.
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

    /// Sets how long a client may take to read what is there for it.
    #[must_use]
    pub fn with_read_timeout(self, read_timeout: Duration) -> Self {
        Self { read_timeout, ..self }
    }

    /// Sets the most connections, at least 1.
    #[must_use]
    pub fn with_max_connections(self, max_connections: usize) -> Self {
        Self { max_connections: max_connections.max(1), ..self }
    }

    /// Sets the most bytes of answers in memory that clients have not read.
    #[must_use]
    pub fn with_max_unread_bytes(self, max_unread_bytes: usize) -> Self {
        Self { max_unread_bytes, ..self }
    }

    /// Sets how long requests are served after the first signal.
    #[must_use]
    pub fn with_drain(self, drain: Duration) -> Self {
        Self { drain, ..self }
    }

    /// Sets how long requests in flight may take after the server has stopped to listen.
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
