//! The health and the metrics for operators, and their access check.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use axum::{Extension, Json};
use rsvp_core::{Error, PartHealth};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::OpenApi;

use super::admin_routes;
use super::document::{Unauthorized, health_unavailable};
use super::status::rendered;
use crate::Api;
use crate::config::Admin;
use crate::identity::AdminAccess;
use crate::log::line;

/// Accepts the requests of operators only.
pub(super) async fn check(
    State(access): State<AdminAccess>,
    request: Request,
    next: Next,
) -> Result<Response, Response> {
    let (mut parts, body) = request.into_parts();
    access.check(&mut parts).await?;
    Ok(next.run(Request::from_parts(parts, body)).await)
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StoreHealth {
    /// Each shard or node of the store.
    parts: Vec<Part>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Part {
    /// The name of the shard, the address of the node, or `store` for the whole.
    name: String,
    /// Whether it would accept a write now.
    ready: bool,
    /// The reason, if it is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    error: Option<String>,
}

impl From<PartHealth> for Part {
    fn from(PartHealth { name, result, .. }: PartHealth) -> Self {
        let why = |error: Error| line("not ready", &error);
        Self { name, ready: result.is_ok(), error: result.err().map(why) }
    }
}

/// The health of each part of the store. A ready part would accept a write now.
#[utoipa::path(
    get, path = "/health",
    responses(
        (status = 200, description = "All parts are ready", body = StoreHealth),
        (status = 503, description = "Some are not", body = StoreHealth),
        Unauthorized,
    )
)]
pub(super) async fn health(State(api): State<Api>) -> (StatusCode, Json<StoreHealth>) {
    // One silent part must not keep the answer from the operator for longer than any other call.
    let asked = tokio::time::timeout(api.config().longest_call, api.store().health()).await;
    let health = asked.unwrap_or_else(|_| health_unavailable());
    let is_ready = health.down().next().is_none();
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(StoreHealth { parts: health.parts.into_iter().map(Part::from).collect() }))
}

/// Metrics in the text format of Prometheus.
#[utoipa::path(
    get, path = "/metrics",
    responses(
        (status = 200, description = "All metrics", body = String,
            content_type = "text/plain; version=0.0.4"),
        Unauthorized,
    )
)]
pub(super) async fn metrics(Extension(admin): Extension<Arc<Admin>>) -> Response {
    rendered(admin.metrics.as_ref().map_or_else(String::new, |render| render()))
}

/// This description.
#[utoipa::path(
    get, path = "/openapi.json",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value), Unauthorized)
)]
pub(super) async fn openapi(Extension(admin): Extension<Arc<Admin>>) -> Json<OpenApi> {
    Json(admin_routes(&admin).into_openapi())
}
