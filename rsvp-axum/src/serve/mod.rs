//! A server for the routes, or for a host's router with them.

mod accept;
mod body;
mod config;
mod connection;
mod phase;
mod start;
mod stop;
mod unread;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use metrics::{Unit, describe_counter, describe_gauge};
use rsvp_core::{Error, Result};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout_at};

pub use self::config::ServerConfig;
pub use self::start::wait_for;
pub use self::stop::Stop;

use self::accept::Listening;
use crate::Api;
use crate::config::Admin;

/// The most connections to the admin routes, which must not wait for those of everybody.
const ADMIN_CONNECTIONS: usize = 64;

/// What a [`Server`] serves.
#[derive(Debug)]
pub struct App {
    api: Api,
    router: Router,
    admin: Option<Router>,
}

impl App {
    /// The routes of an [`Api`], at the root.
    #[must_use]
    pub fn new(api: Api) -> Self {
        Self { router: api.router(), admin: None, api }
    }

    /// Serves this router instead: that of a host who has nested the routes.
    #[must_use]
    pub fn with_router(self, router: Router) -> Self {
        Self { router, ..self }
    }

    /// Serves the admin routes on the listener of [`Server::with_admin`].
    #[must_use]
    pub fn with_admin(self, admin: Admin) -> Self {
        Self { admin: Some(self.api.admin_router(admin)), ..self }
    }
}

/// Why a server ended, if not in order.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The store could not be opened.
    #[error("the store was not opened")]
    Open(#[source] Error),
    /// Requests did not finish in time.
    #[error("requests were still in flight after {0:?}")]
    InFlight(Duration),
    /// The store did not close in time.
    #[error("the store was still closing after {0:?}")]
    Closing(Duration),
    /// The store could not be closed.
    #[error("the store was not closed")]
    Close(#[source] Error),
    /// A second signal came.
    #[error("a second signal ended it at once")]
    Interrupted,
}

/// Serves the routes to clients that may be hostile, and through deploys.
///
/// - Connections are bounded in number, and in the time that they may wait for their clients: see
///   [`ServerConfig`].
/// - At the first signal `/readyz` becomes 503 and answers say `Connection: close`, while all requests
///   are served for [`ServerConfig::drain`]. Then the server stops to listen, finishes what is in
///   flight, and closes the store. A second signal ends it at once.
/// - It speaks HTTP/1.1, as balancers do to the servers behind them.
///
/// ```no_run
/// use std::sync::Arc;
/// use rsvp::MemoryStore;
/// use rsvp_axum::{Api, App, Config, Server, ServerConfig, Stop};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let api = Api::new(Arc::new(MemoryStore::new()), Config::default());
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
/// let server = Server::new(listener, ServerConfig::default());
/// server.run(async { Ok(App::new(api)) }, Stop::on_signals()?).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    admin: Option<TcpListener>,
    config: ServerConfig,
}

impl Server {
    /// A server on a listener.
    #[must_use]
    pub fn new(listener: TcpListener, config: ServerConfig) -> Self {
        Self { listener, admin: None, config }
    }

    /// Serves the admin routes on a listener of their own, which should be for operators only.
    #[must_use]
    pub fn with_admin(self, listener: TcpListener) -> Self {
        Self { admin: Some(listener), ..self }
    }

    /// Serves what `opening` returns, until `stop`.
    ///
    /// Until `opening` returns, `/healthz` is 200 and everything else is 503: see [`wait_for`].
    ///
    /// # Errors
    ///
    /// If `opening` fails, if requests or writes are still in flight [`ServerConfig::shutdown`] after
    /// the end of the drain, if the store is not closed by then, or at the second stop.
    pub async fn run(
        self,
        opening: impl Future<Output = Result<App>>,
        mut stop: Stop,
    ) -> std::result::Result<(), ServeError> {
        describe();
        let Self { listener, admin, config } = self;
        let public = Listening::new(config);
        let private = Listening::new(config.with_max_connections(ADMIN_CONNECTIONS));

        // 1. Serve, first without the store, until the first stop and for the drain after it.
        let accepting = async {
            match admin {
                Some(admin) => tokio::join!(public.accept(listener), private.accept(admin)).0,
                None => public.accept(listener).await,
            }
        };
        let serving = async {
            let app = tokio::select! {
                opened = opening => Some(opened.map_err(ServeError::Open)?),
                () = stop.next() => None,
            };
            let api = app.map(|App { api, router, admin }| {
                public.open(router);
                private.open(admin.unwrap_or_default());
                api
            });
            if let Some(api) = &api {
                stop.next().await;
                api.drain();
                public.drain();
                tokio::select! {
                    () = sleep(config.drain) => {}
                    () = stop.next() => return Err(ServeError::Interrupted),
                }
            }
            Ok(api)
        };
        let api = tokio::select! {
            // First, so that a store that is open already meets the first connection.
            biased;
            served = serving => served?,
            // It never ends.
            () = accepting => None,
        };

        // 2. Nobody is accepted any more. Finish what is in flight, then close the store.
        tokio::select! {
            ended = end(&public, &private, api.as_ref(), config.shutdown) => ended,
            () = stop.next() => Err(ServeError::Interrupted),
        }
    }
}

async fn end(
    public: &Arc<Listening>,
    private: &Arc<Listening>,
    api: Option<&Api>,
    grace: Duration,
) -> std::result::Result<(), ServeError> {
    let until = Instant::now() + grace;
    let finish = async {
        tokio::join!(public.finish(), private.finish());
        if let Some(api) = api {
            api.finish_writes().await;
        }
    };
    timeout_at(until, finish).await.map_err(|_| ServeError::InFlight(grace))?;
    let Some(api) = api else { return Ok(()) };
    let closed = timeout_at(until, api.close()).await;
    closed.map_err(|_| ServeError::Closing(grace))?.map_err(ServeError::Close)
}

fn describe() {
    describe_gauge!(accept::OPEN, Unit::Count, "Connections that are open");
    describe_counter!(connection::ENDED, Unit::Count, "Connections that the server has ended");
}
