//! The RSVP store as an HTTP service.
//!
//! ```text
//! cargo run --release --example http_api -- --listen 127.0.0.1:8080 --store memory:
//! curl -X POST -H 'X-User-Id: 1' http://127.0.0.1:8080/events/101a/rsvp
//! curl http://127.0.0.1:8080/events/101a/rsvp_count
//! ```
//!
//! `GET /openapi.json` describes the interface, `GET /metrics` is for Prometheus, and
//! `grafana.json` is a dashboard of those metrics. The user's id comes in a header, which a
//! gateway that has authenticated the user must set. Do not expose this service without one.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use rsvp::RsvpStore;
use rsvp::layers::LayerExt;
use rsvp_http_api::{App, Log, install_metrics, serve, stop_signal};
use tokio::net::TcpListener;

/// The RSVP store as an HTTP service.
#[derive(Debug, Parser)]
#[command(name = "http_api")]
struct Flags {
    /// Where to listen. Port 0 picks a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Which store to keep the RSVPs in, with layers as parameters, or several with names: see
    /// `rsvp::open`. The service's own calls are observed as `api`.
    #[arg(long, value_name = "URL", default_value = "memory:")]
    store: String,
    /// How long a connection may idle or take to send a request's headers. The default is longer
    /// than load balancers keep idle connections, which would send requests into closing ones.
    #[arg(long, value_name = "SECONDS", default_value_t = 75)]
    idle_seconds: u64,
    /// How long requests in flight may take to finish after SIGTERM or Ctrl-C.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    shutdown_seconds: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    let mut log = Log::start();
    // Before the store, whose metrics are described when it opens.
    let metrics = match install_metrics() {
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
    match listen(&flags, App::new(store, metrics)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log.end("stopped", &error);
            ExitCode::FAILURE
        }
    }
}

/// The store as this service sees it, with metrics under the name `api`.
async fn open(url: &str) -> rsvp::Result<Arc<dyn RsvpStore>> {
    Ok(Arc::new(rsvp::open(url).await?.with_observer("api")?))
}

async fn listen(flags: &Flags, app: App) -> io::Result<()> {
    // Signals are caught before anybody can know that the service listens.
    let stop = stop_signal()?;
    let listener = TcpListener::bind(flags.listen).await?;
    announce(listener.local_addr()?)?;
    let idle = Duration::from_secs(flags.idle_seconds);
    let grace = Duration::from_secs(flags.shutdown_seconds);
    serve(listener, app, idle, grace, stop).await
}

/// The program that started the service waits for this line, so it must not linger in a buffer.
fn announce(address: SocketAddr) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "listening on http://{address}")?;
    stdout.flush()
}
