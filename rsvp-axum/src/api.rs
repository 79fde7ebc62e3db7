//! The routes of a store, and their shared state.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use rsvp_core::{Error, Operation, PageLimit, PageRequest, Result, RsvpStore, UserId};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout_at;
use tokio_util::task::TaskTracker;
use utoipa::openapi::OpenApi;

use crate::config::{Admin, Config};
use crate::extract::{IdempotencyKey, Session, TimeLimit};
use crate::idempotency::{Answers, Key};
use crate::problem::Problem;
use crate::routes;

/// The routes of a store, and their writes in flight.
///
/// Clones share everything.
///
/// ```
/// use std::sync::Arc;
/// use rsvp::MemoryStore;
/// use rsvp_axum::{Admin, AdminAccess, Api, Config};
///
/// let api = Api::new(Arc::new(MemoryStore::new()), Config::default());
/// let app: axum::Router = axum::Router::new().nest("/rsvp", api.router());
/// // Serve these on an address for operators only:
/// let admin: axum::Router = api.admin_router(Admin::new(AdminAccess::open()));
/// ```
#[derive(Clone, Debug)]
pub struct Api(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    store: Arc<dyn RsvpStore>,
    config: Config,
    /// The writes in flight, also after a disconnect of their clients.
    writes: TaskTracker,
    answers: Arc<Answers>,
    batch_slots: Arc<Semaphore>,
    /// For batches with large bodies, while the bodies arrive.
    large_bodies: Semaphore,
    long_lists: Semaphore,
    is_draining: AtomicBool,
}

/// Creates the routes of a store, to nest into the router of a host.
///
/// For a graceful shutdown use [`Api`] instead, because it knows the writes in flight.
///
/// ```
/// use std::sync::Arc;
/// use rsvp::MemoryStore;
/// use rsvp_axum::Config;
///
/// let rsvps = rsvp_axum::router(Arc::new(MemoryStore::new()), Config::default());
/// let app: axum::Router = axum::Router::new().nest("/rsvp", rsvps);
/// ```
pub fn router<S>(store: Arc<dyn RsvpStore>, config: Config) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    Api::new(store, config).router()
}

impl Api {
    /// Creates the routes of `store`.
    pub fn new(store: Arc<dyn RsvpStore>, config: Config) -> Self {
        Self(Arc::new(Shared {
            store,
            writes: TaskTracker::new(),
            answers: Arc::new(Answers::new(config.idempotency)),
            batch_slots: Arc::new(Semaphore::new(config.batches_at_once)),
            // A large body has a permit of its own while it arrives, and a batch slot afterwards.
            // So large bodies cannot take the slots of batches in progress.
            large_bodies: Semaphore::new(config.batches_at_once),
            long_lists: Semaphore::new(config.long_lists_at_once),
            is_draining: AtomicBool::new(false),
            config,
        }))
    }

    /// Returns the public routes, to serve or to nest into a router with any state.
    pub fn router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        routes::public(self)
    }

    /// Returns the routes for operators.
    ///
    /// They remove events and users, and tell the health of each part of the store.
    /// [`Admin::with_metrics`] adds the metrics.
    /// Serve them on an address of their own,
    /// or restrict them with [`AdminAccess`](crate::AdminAccess).
    pub fn admin_router<S>(&self, admin: Admin) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        routes::admin(self, admin)
    }

    /// Returns the OpenAPI description of [`router`](Self::router),
    /// to merge into the document of a host.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use rsvp::MemoryStore;
    /// use rsvp_axum::{Api, Config};
    /// use utoipa::openapi::{InfoBuilder, OpenApiBuilder};
    ///
    /// let api = Api::new(Arc::new(MemoryStore::new()), Config::default());
    /// let host = OpenApiBuilder::new().info(InfoBuilder::new().title("Tickets").build()).build();
    /// let document = host.nest("/rsvp", api.openapi());
    /// assert!(document.paths.paths.contains_key("/rsvp/events/{event_id}/rsvp"));
    /// ```
    pub fn openapi(&self) -> OpenApi {
        routes::public_document(self)
    }

    /// Makes `/readyz` answer 503 from now on, so that balancers send new requests elsewhere.
    /// All requests are still served.
    pub fn drain(&self) {
        self.0.is_draining.store(true, Ordering::Relaxed);
    }

    /// Waits for all writes in flight, also after a disconnect of their clients,
    /// and closes the store.
    ///
    /// # Errors
    ///
    /// As [`RsvpStore::close`].
    pub async fn close(&self) -> Result<()> {
        self.finish_writes().await;
        self.0.store.close().await
    }

    pub(crate) async fn finish_writes(&self) {
        self.0.writes.close();
        self.0.writes.wait().await;
    }

    pub(crate) fn store(&self) -> &dyn RsvpStore {
        &*self.0.store
    }

    pub(crate) fn config(&self) -> &Config {
        &self.0.config
    }

    pub(crate) fn large_bodies(&self) -> &Semaphore {
        &self.0.large_bodies
    }

    pub(crate) fn batch_slots(&self) -> &Arc<Semaphore> {
        &self.0.batch_slots
    }

    /// Waits for the right to create a long page.
    ///
    /// A long page takes milliseconds of a processor. Many at once would delay all other requests.
    pub(crate) async fn turn(
        &self,
        request: &PageRequest,
        limit: TimeLimit,
        operation: Operation,
    ) -> Result<Option<SemaphorePermit<'_>>> {
        if request.limit <= PageLimit::default() {
            return Ok(None);
        }
        let turn = timeout_at(limit.instant(), self.0.long_lists.acquire()).await;
        // Nobody closes the semaphore, so `ok` drops no error.
        Ok(turn.map_err(|_| Error::overloaded(operation))?.ok())
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.0.is_draining.load(Ordering::Relaxed)
    }

    /// Runs a write to its end. A disconnect of the client drops the caller of this,
    /// but not the write.
    pub(crate) async fn finish<T: Send + 'static>(
        &self,
        write: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Problem> {
        // The task of the write owns it. Only the wait for it ends with the request.
        self.0.writes.spawn(write).await.map_err(|_| lost_answer())
    }

    /// As [`finish`](Self::finish), and gives a repetition of the request the same answer.
    pub(crate) async fn finish_once(
        &self,
        IdempotencyKey { key }: IdempotencyKey,
        user: Option<UserId>,
        fingerprint: u64,
        session: Session,
        write: impl Future<Output = Response> + Send + 'static,
    ) -> Response {
        let finished = match key {
            Some(text) => {
                let answers = Arc::clone(&self.0.answers);
                self.finish(answers.once(Key { user, text }, fingerprint, session, write)).await
            }
            None => self.finish(write).await,
        };
        finished.unwrap_or_else(IntoResponse::into_response)
    }
}

/// Returns the problem of a write task without an answer.
pub(crate) fn lost_answer() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the write may have taken effect")
}
