//! A server for the routes, or for the router of a host with the routes in it.

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

/// The maximum number of connections to the admin routes.
///
/// They have a number of their own, because operators must not wait for the public.
const ADMIN_CONNECTIONS: usize = 64;

/// The routers of a [`Server`].
///
/// ```
/// use std::sync::Arc;
/// use rsvp::MemoryStore;
/// use rsvp_axum::{Admin, AdminAccess, Api, App, Config};
///
/// let api = Api::new(Arc::new(MemoryStore::new()), Config::default());
/// let host = axum::Router::new().nest("/rsvp", api.router());
/// let app = App::new(api).with_router(host).with_admin(Admin::new(AdminAccess::open()));
/// ```
#[derive(Debug)]
pub struct App {
    api: Api,
    router: Router,
    admin: Option<Router>,
}

impl App {
    /// Serves the routes of an [`Api`] at the root.
    #[must_use]
    pub fn new(api: Api) -> Self {
        Self { router: api.router(), admin: None, api }
    }

    /// Serves this router instead. It is the router of a host, with the routes nested in it.
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

/// The failure of a server.
///
/// ```
/// use rsvp_axum::{ServeError, error_line};
///
/// fn report(ended: Result<(), ServeError>) {
///     match ended {
///         Ok(()) => println!("every request was answered"),
///         Err(ServeError::Interrupted) => println!("ended at once by a second signal"),
///         Err(error) => eprintln!("{}", error_line("the server failed", &error)),
///     }
/// }
/// ```
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

/// Serves the routes with protection against hostile clients, and through deploys.
///
/// - The number of connections and their waits for clients are bounded by [`ServerConfig`].
/// - The first signal begins the drain. For [`ServerConfig::drain`] all requests are still served,
///   while `/readyz` is 503 and answers say `Connection: close`.
/// - After the drain, the server stops to listen, finishes the requests in flight, and closes the
///   store. A second signal ends it at once.
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
    /// Creates a server on a listener.
    #[must_use]
    pub fn new(listener: TcpListener, config: ServerConfig) -> Self {
        Self { listener, admin: None, config }
    }

    /// Serves the admin routes on a listener of their own. It should be for operators only.
    #[must_use]
    pub fn with_admin(self, listener: TcpListener) -> Self {
        Self { admin: Some(listener), ..self }
    }

    /// Serves the app from `opening` until `stop`.
    ///
    /// Until `opening` returns, `/healthz` is 200 and everything else is 503.
    /// Use [`wait_for`] in `opening` if the database may start later.
    ///
    /// # Errors
    ///
    /// - [`ServeError::Open`] if `opening` fails.
    /// - [`ServeError::InFlight`] if requests or writes are still in flight
    ///   [`ServerConfig::shutdown`] after the drain.
    /// - [`ServeError::Closing`] if the store is still closing by then.
    /// - [`ServeError::Close`] if the store fails to close.
    /// - [`ServeError::Interrupted`] at the second stop.
    pub async fn run(
        self,
        opening: impl Future<Output = Result<App>>,
        mut stop: Stop,
    ) -> std::result::Result<(), ServeError> {
        describe();
        let Self { listener, admin, config } = self;
        let public = Listening::new(config);
        let private = Listening::new(config.with_max_connections(ADMIN_CONNECTIONS));

        // 1. Serve until the end of the drain. At first the store is not open yet.
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
            // `serving` is polled first, so that the first connection meets a store that is open
            // already.
            biased;
            served = serving => served?,
            // Accepting never ends by itself.
            () = accepting => None,
        };

        // 2. The listeners are closed. Finish requests in flight, then close the store.
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
        // A write can outlive its connection, so the writes have a wait of their own.
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
