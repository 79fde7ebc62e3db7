//! The RSVP store as an HTTP service.
//!
//! ```text
//! cargo run --release --example http_api -- --listen 127.0.0.1:8080 --store memory:
//! curl -X POST -H 'X-User-Id: 1' http://127.0.0.1:8080/events/101a/rsvp
//! curl http://127.0.0.1:8080/events/101a/rsvp_count
//! ```
//!
//! `GET /openapi.json` describes the interface, `GET /metrics` is for Prometheus, and
//! `grafana.json` is a dashboard of that. Who the user is comes in a header, which a gateway
//! that has authenticated them must set: do not expose this service without one.

mod api;
mod body;
mod extract;
mod log;
mod metrics;
mod problem;
mod server;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use rsvp::{RsvpStore, RsvpStoreExt};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};

/// The RSVP store as an HTTP service.
#[derive(Debug, Parser)]
#[command(name = "http_api")]
struct Flags {
    /// Where to listen. Port 0 picks a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Which store to keep the RSVPs in, with wrappers as parameters, or several with names: see
    /// `rsvp::open`. What this service itself asks is observed as `api`.
    #[arg(long, value_name = "URL", default_value = "memory:")]
    store: String,
    /// How long a connection may idle or take to send a request's headers. The default is longer
    /// than load balancers keep idle connections, which would send requests into closing ones.
    #[arg(long, value_name = "SECONDS", default_value_t = 75)]
    idle_seconds: u64,
    /// How long what is in flight may take to finish after SIGTERM or Ctrl-C.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    shutdown_seconds: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    let mut log = Log::start();
    // Before the store, whose metrics are described when it opens.
    let metrics = match metrics::install() {
        Ok(metrics) => metrics,
        Err(error) => {
            log.end("cannot record metrics", &error);
            return ExitCode::FAILURE;
        }
    };
    let store = match open(&flags.store).await {
        Ok(store) => store,
        Err(error) => {
            log.end("cannot open the store", &error);
            return ExitCode::from(2);
        }
    };
    let writes = TaskTracker::new();
    let router = api::router(api::App { store, writes: writes.clone(), metrics });
    match serve(&flags, router, writes).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log.end("stopped", &error);
            ExitCode::FAILURE
        }
    }
}

/// The store as this service sees it, with metrics under the name `api`.
async fn open(url: &str) -> rsvp::Result<Arc<dyn RsvpStore>> {
    Ok(Arc::new(rsvp::open(url).await?.observed("api")?))
}

/// How many lines may wait until somebody reads stderr; then new ones are lost.
const LOG_LINES: usize = 10_000;

/// Stderr, written to by a thread of its own, since the service must go on, and end, when nobody
/// reads it. Once dropped, what waits has been written, or a second has gone by.
struct Log {
    stderr: NonBlocking,
    _guard: WorkerGuard,
}

impl Log {
    /// Shows failures, and what the library warns of.
    fn start() -> Self {
        let stderr = NonBlockingBuilder::default().buffered_lines_limit(LOG_LINES).lossy(true);
        let (stderr, guard) = stderr.finish(io::stderr());
        tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
            .with_writer(stderr.clone())
            .with_target(false)
            .with_ansi(false)
            .without_time()
            .init();
        Self { stderr, _guard: guard }
    }

    /// Says why the service ends.
    fn end(&mut self, what: &str, error: &dyn std::error::Error) {
        let line = format!("{}\n", log::line(what, error));
        // Nothing is left to be done if nobody can be told.
        let _ = self.stderr.write_all(line.as_bytes());
    }
}

async fn serve(flags: &Flags, router: axum::Router, writes: TaskTracker) -> io::Result<()> {
    // Signals are caught before anybody can know that the service listens.
    let stop = server::stop_signal()?;
    let listener = TcpListener::bind(flags.listen).await?;
    announce(listener.local_addr()?)?;
    let idle = Duration::from_secs(flags.idle_seconds);
    let connections = server::accept(listener, router, idle, stop).await;
    let grace = Duration::from_secs(flags.shutdown_seconds);
    server::finish(connections, writes, grace).await
}

/// Whoever started the service waits for this line, so it must not linger in a buffer.
fn announce(address: SocketAddr) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "listening on http://{address}")?;
    stdout.flush()
}
