//! Routes for balancers, monitors and authors of clients.

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use rsvp_core::{Error, Operation};
use utoipa::openapi::OpenApi;

use super::document::public_document;
use crate::Api;
use crate::extract::TimeLimit;
use crate::problem::Problem;

/// The service is alive.
#[utoipa::path(
    get, path = "/healthz", responses((status = 200, description = "The service is alive"))
)]
// The body is empty, because balancers look at the status only.
pub(super) async fn healthz() {}

/// The store would accept a write now, and this instance is not about to end.
#[utoipa::path(
    get, path = "/readyz", params(TimeLimit),
    responses((status = 200, description = "The store is ready"), Problem)
)]
pub(super) async fn readyz(State(api): State<Api>, limit: TimeLimit) -> Result<(), Problem> {
    if api.is_draining() {
        let detail = "this instance is about to end: send requests to another one";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail));
    }
    match tokio::time::timeout_at(limit.instant(), api.store().ready()).await {
        Ok(ready) => Ok(ready?),
        Err(_) => Err(Error::too_late(Operation::Ready).into()),
    }
}

const METRICS_TYPE: &str = "text/plain; version=0.0.4";

/// Metrics in the text format of Prometheus.
#[utoipa::path(
    get, path = "/metrics",
    responses((status = 200, description = "All metrics", body = String,
        content_type = "text/plain; version=0.0.4"))
)]
pub(super) async fn metrics(State(api): State<Api>) -> Response {
    rendered(api.config().metrics.as_ref().map_or_else(String::new, |render| render()))
}

pub(super) fn rendered(metrics: String) -> Response {
    let media_type: [(HeaderName, &str); 1] = [(CONTENT_TYPE, METRICS_TYPE)];
    (media_type, metrics).into_response()
}

/// This description.
#[utoipa::path(
    get, path = "/openapi.json",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value))
)]
pub(super) async fn openapi(State(api): State<Api>) -> Json<OpenApi> {
    Json(public_document(&api))
}
