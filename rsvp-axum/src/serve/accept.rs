//! Accepts connections up to a maximum number.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use metrics::gauge;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::ServerConfig;
use super::connection;
use super::unread::Unread;
use crate::log;
use crate::problem::Problem;

/// The pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The gauge of open connections.
pub(super) const OPEN: &str = "rsvp_http_connections";

/// The shared state of the connections of one listener.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) config: ServerConfig,
    /// Set when the store is open.
    opened: OnceLock<Router>,
    starting: Router,
    places: Arc<Semaphore>,
    /// Asks the connection that has waited longest for its client to close.
    pub(super) room: Arc<Notify>,
    pub(super) unread: Arc<Unread>,
    /// Whether the process has no file descriptor for another connection.
    is_starved: AtomicBool,
    is_draining: AtomicBool,
    /// Cancelled when connections have to end.
    pub(super) stop: CancellationToken,
    connections: TaskTracker,
}

impl Listening {
    pub(super) fn new(config: ServerConfig) -> Arc<Self> {
        Arc::new(Self {
            opened: OnceLock::new(),
            starting: Router::new().fallback(starting),
            places: Arc::new(Semaphore::new(config.max_connections)),
            room: Arc::new(Notify::new()),
            unread: Unread::new(config.max_unread_bytes),
            is_starved: AtomicBool::new(false),
            is_draining: AtomicBool::new(false),
            stop: CancellationToken::new(),
            connections: TaskTracker::new(),
            config,
        })
    }

    /// Serves these routes from now on.
    pub(super) fn open(&self, router: Router) {
        // The server calls this once, so the cell is empty.
        let _ = self.opened.set(router);
    }

    pub(super) fn router(&self) -> Router {
        self.opened.get().unwrap_or(&self.starting).clone()
    }

    pub(super) fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }

    /// Returns whether another connection has no permit or no file descriptor.
    pub(super) fn needs_room(&self) -> bool {
        self.places.available_permits() == 0 || self.is_starved.load(Ordering::Relaxed)
    }

    pub(super) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    /// Ends connections after their answers in flight, and waits for their end.
    pub(super) async fn finish(&self) {
        self.stop.cancel();
        self.connections.close();
        self.connections.wait().await;
    }

    /// Accepts and serves connections until the future is dropped.
    pub(super) async fn accept(self: &Arc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    self.is_starved.store(false, Ordering::Relaxed);
                    self.begin(stream).await;
                }
                Err(error) => {
                    // Most likely the process has no file descriptor left.
                    // The connection that has waited longest for its client closes and frees one.
                    // Ending the loop would end the service.
                    log::failure("cannot accept a connection", &error);
                    self.is_starved.store(true, Ordering::Relaxed);
                    self.room.notify_one();
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Serves a connection as soon as a permit is free.
    /// Meanwhile others wait in the queue of the operating system.
    async fn begin(self: &Arc<Self>, stream: TcpStream) {
        let places = Arc::clone(&self.places);
        let place = match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => place,
            Err(_) => {
                self.room.notify_one();
                // Nobody closes the semaphore, so this never fails.
                let Ok(place) = places.acquire_owned().await else { return };
                place
            }
        };
        // Otherwise small answers wait for the delayed acknowledgement of the client.
        // It fails only if the connection is gone.
        let _ = stream.set_nodelay(true);
        let listening = Arc::clone(self);
        self.connections.spawn(async move {
            let _open = Open::count();
            connection::serve(stream, listening).await;
            drop(place);
        });
    }
}

/// Counts an open connection in the gauge.
struct Open;

impl Open {
    fn count() -> Self {
        gauge!(OPEN).increment(1.0);
        Self
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        gauge!(OPEN).decrement(1.0);
    }
}

/// Answers before the store is open. The process is alive, but not ready for requests.
async fn starting(uri: Uri) -> Response {
    match uri.path() {
        "/healthz" => StatusCode::OK.into_response(),
        _ => {
            let detail = "the store is not open yet: repeat the request after a pause";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).into_response()
        }
    }
}
