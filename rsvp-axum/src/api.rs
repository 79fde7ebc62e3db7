//! The routes of a store, and what they share.

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

/// The routes of a store, and the writes that they have begun.
///
/// A clone is another handle of the same.
///
/// ```
/// use std::sync::Arc;
/// use rsvp::MemoryStore;
/// use rsvp_axum::{Admin, AdminAccess, Api, Config};
///
/// let api = Api::new(Arc::new(MemoryStore::new()), Config::default());
/// let app: axum::Router = axum::Router::new().nest("/rsvp", api.router());
/// // On an address that only operators reach:
/// let admin: axum::Router = api.admin_router(Admin::new(AdminAccess::open()));
/// ```
#[derive(Clone, Debug)]
pub struct Api(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    store: Arc<dyn RsvpStore>,
    config: Config,
    /// The writes in flight, whether their clients still wait or not.
    writes: TaskTracker,
    answers: Arc<Answers>,
    batch_slots: Arc<Semaphore>,
    /// For batches whose bodies are large and still arrive.
    large_bodies: Semaphore,
    long_lists: Semaphore,
    is_draining: AtomicBool,
}

/// The routes of a store, to nest into a host's router.
///
/// A host that ends in order uses [`Api`], which knows the writes in flight.
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
    /// The routes of `store`.
    pub fn new(store: Arc<dyn RsvpStore>, config: Config) -> Self {
        Self(Arc::new(Shared {
            store,
            writes: TaskTracker::new(),
            answers: Arc::new(Answers::new(config.idempotency)),
            batch_slots: Arc::new(Semaphore::new(config.batches_at_once)),
            large_bodies: Semaphore::new(config.batches_at_once),
            long_lists: Semaphore::new(config.long_lists_at_once),
            is_draining: AtomicBool::new(false),
            config,
        }))
    }

    /// The routes for everybody, to serve or to nest into a router with any state.
    pub fn router<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        routes::public(self)
    }

    /// The routes for operators: removals, the health of each part of the store, and metrics if they
    /// were asked for. Serve them on an address of their own, or nest them behind an
    /// [`AdminAccess`](crate::AdminAccess) that knows its operators.
    pub fn admin_router<S>(&self, admin: Admin) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        routes::admin(self, admin)
    }

    /// The description of [`router`](Self::router), to merge into the host's document.
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

    /// Makes `/readyz` answer 503 from now on, so that balancers send new requests elsewhere. All
    /// requests are still served.
    pub fn drain(&self) {
        self.0.is_draining.store(true, Ordering::Relaxed);
    }

    /// Waits for the writes in flight, those of clients that have hung up too, and closes the store.
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

    /// Waits until a page may be made. A long one takes milliseconds of a processor, for which all others
    /// would wait if there were many.
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
        // The semaphore is never closed.
        Ok(turn.map_err(|_| Error::overloaded(operation))?.ok())
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.0.is_draining.load(Ordering::Relaxed)
    }

    /// Runs a write to its end: when the client hangs up, the caller of this is dropped, and the
    /// write is not.
    pub(crate) async fn finish<T: Send + 'static>(
        &self,
        write: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Problem> {
        self.0.writes.spawn(write).await.map_err(|_| lost_answer())
    }

    /// As [`finish`](Self::finish), and answers a repetition of the request as the request was.
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

/// The problem of a write whose task has ended without an answer.
pub(crate) fn lost_answer() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the write may have taken effect")
}
