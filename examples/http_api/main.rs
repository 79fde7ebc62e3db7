//! The RSVP store as an HTTP service.
//!
//! ```text
//! cargo run --release --example http_api -- --listen 127.0.0.1:8080 --store memory:
//! curl -X POST -H 'X-User-Id: 1' http://127.0.0.1:8080/events/101a/rsvp
//! curl http://127.0.0.1:8080/events/101a/rsvp_count
//! ```
//!
//! `GET /openapi.json` describes the interface; `grafana.json` and `alerts.yaml` are for the metrics.
//! The user's id comes in a header, which a gateway that has authenticated the user must set. Do not
//! expose this service without one.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use rsvp::{RsvpStore, layers::LayerExt};
use rsvp_axum::{
    Admin, AdminAccess, Api, App, Config, Identity, PathUsers, ServeError, Server, ServerConfig,
    Stop, error_line, prometheus, wait_for,
};
use tokio::net::TcpListener;
use tracing_appender::non_blocking::NonBlockingBuilder;
use tracing_subscriber::filter::LevelFilter;

/// The RSVP store as an HTTP service.
#[derive(Debug, Parser)]
#[command(name = "http_api")]
struct Flags {
    /// Where to listen. Port 0 picks a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The URL of the store, as for `rsvp::open`. A URL with a password belongs into the environment
    /// variable or `--store-file`, because everybody can read the arguments of a process.
    #[arg(long, env = "RSVP_STORE", hide_env_values = true, default_value = "memory:")]
    store: String,
    /// A file with the URL of the store.
    #[arg(long, value_name = "PATH")]
    store_file: Option<PathBuf>,
    /// How long to try to open the store, such as `60s`. Meanwhile `/healthz` is 200.
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "0s")]
    wait_for_store: Duration,
    /// Where to serve the admin routes, and `/metrics` then: an address for operators only.
    #[arg(long, value_name = "ADDR")]
    admin_listen: Option<SocketAddr>,
    /// The token that the admin routes ask for (`Authorization: Bearer`).
    #[arg(long, env = "RSVP_ADMIN_TOKEN", hide_env_values = true)]
    admin_token: Option<String>,
    /// `X-User-Id` is percent-encoded, so that any client can send any id.
    #[arg(long)]
    percent_encoded_user_id: bool,
    /// The gateway decides who may write for the users in paths and batches.
    #[arg(long)]
    gateway_decides: bool,
    /// How long a connection may idle: longer than balancers keep idle ones, and send into them.
    #[arg(long, value_name = "SECONDS", value_parser = time, default_value = "620")]
    idle_seconds: Duration,
    /// The most connections, below the limit of open files.
    #[arg(long, value_name = "NUMBER", default_value_t = 4096)]
    max_connections: usize,
    /// How long to serve requests after SIGTERM or Ctrl-C, with `/readyz` at 503.
    #[arg(long, value_name = "SECONDS", value_parser = time, default_value = "5")]
    drain_seconds: Duration,
    /// How long requests in flight may take to finish after that.
    #[arg(long, value_name = "SECONDS", value_parser = time, default_value = "30")]
    shutdown_seconds: Duration,
}

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    // A thread of its own writes the log, so that the service goes on when nobody reads stderr.
    let (mut log, _guard) = NonBlockingBuilder::default().lossy(true).finish(io::stderr());
    let subscriber = tracing_subscriber::fmt().with_max_level(LevelFilter::WARN).without_time();
    subscriber.with_writer(log.clone()).with_target(false).with_ansi(false).init();
    let Err(failure) = run(flags).await else { return ExitCode::SUCCESS };
    let (line, code) = match failure.downcast_ref() {
        Some(ServeError::Open(error)) => (error_line("cannot open the store", error), 2),
        _ => (error_line("stopped", failure.as_ref()), 1),
    };
    // Nobody can be told that nobody can be told.
    let _ = writeln!(log, "{line}");
    ExitCode::from(code)
}

async fn run(flags: Flags) -> Result<(), Box<dyn std::error::Error>> {
    // 1. Metrics before the store, which describes its own. Signals before anybody could send one.
    let (metrics, stop) = (prometheus::install()?, Stop::on_signals()?);
    let url = flags.store_file.as_ref().map_or(Ok(flags.store.clone()), std::fs::read_to_string)?;
    let opened = match flags.wait_for_store.is_zero() {
        true => Some(open(&url).await.map_err(ServeError::Open)?),
        false => None,
    };

    // 2. The addresses. The program that started the service waits for these lines.
    let listener = TcpListener::bind(flags.listen).await?;
    let mut lines = format!("listening on http://{}\n", listener.local_addr()?);
    let config = ServerConfig::default()
        .with_keep_alive(flags.idle_seconds)
        .with_max_connections(flags.max_connections)
        .with_drain(flags.drain_seconds)
        .with_shutdown(flags.shutdown_seconds);
    let mut server = Server::new(listener, config);
    if let Some(address) = flags.admin_listen {
        let listener = TcpListener::bind(address).await?;
        lines += &format!("admin routes on http://{}\n", listener.local_addr()?);
        server = server.with_admin(listener);
    }
    io::stdout().write_all(lines.as_bytes())?;

    // 3. The store, if it is not open yet, and requests.
    let opening = async {
        let store = match opened {
            Some(store) => store,
            None => wait_for(flags.wait_for_store, || open(&url)).await?,
        };
        let (mut config, metrics) = (Config::default(), move || metrics.render());
        if flags.percent_encoded_user_id {
            config = config.with_identity(Identity::percent_encoded_header());
        }
        if flags.gateway_decides {
            config = config.with_path_users(PathUsers::GatewayDecides);
        }
        if flags.admin_listen.is_none() {
            return Ok(App::new(Api::new(store, config.with_metrics(metrics))));
        }
        let access = flags.admin_token.map_or_else(AdminAccess::open, AdminAccess::bearer);
        Ok(App::new(Api::new(store, config)).with_admin(Admin::new(access).with_metrics(metrics)))
    };
    Ok(server.run(opening, stop).await?)
}

/// The store as this service sees it, with metrics under the name `api`.
async fn open(url: &str) -> rsvp::Result<Arc<dyn RsvpStore>> {
    Ok(Arc::new(rsvp::open(url).await?.with_observer("api")?))
}

/// A time such as `500ms`, `2s` or `2`.
fn time(text: &str) -> rsvp::Result<Duration> {
    let mut parameters = rsvp::url::Parameters::parse(&format!("time={text}"))?;
    Ok(parameters.take_seconds("time")?.unwrap_or_default())
}
