//! The connections: accepted, bounded and brought to an end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rsvp::RsvpStore;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::task::TaskTracker;

use crate::api::{self, App};
use crate::log;

/// The largest request line with headers, in bytes; more is 431. A session token may have 8,192.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// How long to wait after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Resolves at the first SIGTERM or Ctrl-C from now on.
///
/// # Errors
///
/// If the process cannot take signals.
pub fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Serves every connection that arrives until `stop`, finishes the requests in flight, and closes the
/// store.
///
/// A connection is closed when its next request has not come with all its headers after `idle`.
///
/// # Errors
///
/// If requests or writes are still in flight `grace` after `stop`, or the store is not closed by then.
pub async fn serve(
    listener: TcpListener,
    app: App,
    idle: Duration,
    grace: Duration,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let (writes, store) = (app.writes.clone(), Arc::clone(&app.store));
    let connections = accept(listener, api::router(app), idle, stop).await;
    let end = Instant::now() + grace;
    let late = |what| io::Error::new(io::ErrorKind::TimedOut, format!("{what} after {grace:?}"));
    let finished = timeout_at(end, finish(connections, writes)).await;
    finished.map_err(|_| late("requests were still in flight"))?;
    let closed = timeout_at(end, store.close()).await;
    closed.map_err(|_| late("the store was still closing"))?.map_err(io::Error::other)
}

/// Serves every connection that arrives until `stop`, and returns those that are still open.
async fn accept(
    listener: TcpListener,
    router: Router,
    idle: Duration,
    stop: impl Future<Output = ()>,
) -> GracefulShutdown {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(idle).max_buf_size(MAX_HEAD_BYTES);
    let connections = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => return connections,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => serve_connection(stream, &http, &router, &connections),
            Err(error) => {
                // Out of file descriptors, most likely: those in use come back, and giving up
                // would cut off everybody who is connected.
                log::failure("cannot accept a connection", &error);
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn serve_connection(
    stream: TcpStream,
    http: &http1::Builder,
    router: &Router,
    connections: &GracefulShutdown,
) {
    // Without it small answers wait for the client's delayed acknowledgement. It only fails on a
    // connection that is gone.
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(router.clone());
    let connection = http.serve_connection(TokioIo::new(stream), service);
    // How a connection ends is its client's affair.
    tokio::spawn(connections.watch(connection));
}

/// Waits until requests in flight are answered, and until the writes of clients that have hung up
/// are done.
async fn finish(connections: GracefulShutdown, writes: TaskTracker) {
    connections.shutdown().await;
    writes.close();
    writes.wait().await;
}
