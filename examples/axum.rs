//! The four verbs as routes of an axum app.
//!
//! ```text
//! cargo add rsvp --features serde
//! cargo add axum && cargo add tokio --features macros,net,rt-multi-thread,signal
//! RSVP_STORE=memory: cargo run --example axum -- 127.0.0.1:8080
//! curl -X PUT 127.0.0.1:8080/events/101a/users/ada        # "applied"
//! ```
//!
//! A real app checks that a request comes from the user that its path names, as `axum_nested.rs` does.

use std::{io::Write, sync::Arc};

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router, http::StatusCode};
use rsvp::{Error, EventId, Outcome, RsvpStore, RsvpStoreExt, UserId};
use tokio::signal::{ctrl_c, unix};

type Store = State<Arc<dyn RsvpStore>>;
type Pair = Path<(EventId, UserId)>;
type Answer<T> = Result<Json<T>, Failure>;

/// A failed call, as a response.
struct Failure(Error);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match &self.0 {
            Error::InvalidInput { .. } => StatusCode::BAD_REQUEST,
            Error::TimedOut { .. } => StatusCode::GATEWAY_TIMEOUT,
            error if error.is_retryable() => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, self.0.to_string()).into_response()
    }
}

async fn rsvp(State(store): Store, Path((event, user)): Pair) -> Answer<Outcome> {
    Ok(Json(store.rsvp(&user, &event).await?.outcome))
}

async fn cancel(State(store): Store, Path((event, user)): Pair) -> Answer<Outcome> {
    Ok(Json(store.cancel(&user, &event).await?.outcome))
}

async fn has_rsvped(State(store): Store, Path((event, user)): Pair) -> Answer<bool> {
    Ok(Json(store.has_rsvped(&user, &event).await?))
}

async fn rsvp_count(State(store): Store, Path(event): Path<EventId>) -> Answer<u64> {
    Ok(Json(store.rsvp_count(&event).await?.value))
}

fn routes(store: Arc<dyn RsvpStore>) -> Router {
    Router::new()
        .route("/events/{event}/users/{user}", put(rsvp).delete(cancel).get(has_rsvped))
        .route("/events/{event}/rsvp_count", get(rsvp_count))
        .with_state(store)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("RSVP_STORE").unwrap_or("memory:?count_cache=5s".to_owned());
    let store = rsvp::open(&url).await?;
    let mut terminate = unix::signal(unix::SignalKind::terminate())?; // sent by an orchestrator
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    writeln!(std::io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    let stop = async move { tokio::select!(_ = terminate.recv() => {}, _ = ctrl_c() => {}) };
    axum::serve(listener, routes(Arc::clone(&store))).with_graceful_shutdown(stop).await?;
    Ok(store.close().await?)
}
