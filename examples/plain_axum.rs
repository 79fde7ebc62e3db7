//! An axum service that calls the store itself: three routes and an error that is a response.
//!
//! ```text
//! cargo run --example plain_axum -- 127.0.0.1:8080
//! curl -X PUT 127.0.0.1:8080/events/101a/users/ada
//! curl 127.0.0.1:8080/events/101a/count
//! ```

use std::io::Write;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header::RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::get};
use rsvp::{Error, EventId, Receipt, RsvpStore, RsvpStoreExt, UserId};
use tokio::net::TcpListener;

type Store = State<Arc<dyn RsvpStore>>;

/// An error of the store as an HTTP answer.
struct Failure(Error);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let text = self.0.to_string();
        match self.0 {
            Error::InvalidInput { .. } => (StatusCode::BAD_REQUEST, text).into_response(),
            error if error.is_retryable() => {
                (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], text).into_response()
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

/// Ids are checked by the extractor, with the feature `serde`. A real service takes the user from a
/// session: see `examples/axum.rs`.
type Pair = Path<(EventId, UserId)>;

async fn join(State(store): Store, Path((event, user)): Pair) -> Result<Json<Receipt>, Failure> {
    Ok(Json(store.rsvp(&user, &event).await?))
}

async fn leave(State(store): Store, Path((event, user)): Pair) -> Result<Json<Receipt>, Failure> {
    Ok(Json(store.cancel(&user, &event).await?))
}

async fn is_in(State(store): Store, Path((event, user)): Pair) -> Result<Json<bool>, Failure> {
    Ok(Json(store.has_rsvped(&user, &event).await?))
}

/// The count may be up to 5 s old, which is the default.
async fn count(State(store): Store, Path(event): Path<EventId>) -> Result<Json<u64>, Failure> {
    Ok(Json(store.rsvp_count(&event).await?.value))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store: Arc<dyn RsvpStore> = rsvp::open("memory:?count_cache=5s").await?;
    let app = Router::new()
        .route("/events/{event}/users/{user}", get(is_in).put(join).delete(leave))
        .route("/events/{event}/count", get(count))
        .with_state(Arc::clone(&store));
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let listener = TcpListener::bind(address).await?;
    writeln!(std::io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    let end = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    axum::serve(listener, app).with_graceful_shutdown(end).await?;
    Ok(store.close().await?)
}
