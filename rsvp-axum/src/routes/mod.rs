//! The routes.

mod admin;
mod batch;
mod document;
mod erase;
mod reads;
mod status;
mod writes;

use std::sync::Arc;

use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::Response;
use axum::routing::any;
use axum::{Extension, Router, middleware};
use rsvp_core::{Error, EventId, UserId};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(crate) use self::document::public_document;

use crate::config::Admin;
use crate::extract::placeholder;
use crate::problem::Problem;
use crate::{Api, body, metrics};

/// Returns the public routes.
pub(crate) fn public<S: Clone + Send + Sync + 'static>(api: &Api) -> Router<S> {
    finish(public_routes(api), api)
}

/// Returns the routes for operators.
pub(crate) fn admin<S: Clone + Send + Sync + 'static>(api: &Api, admin: Admin) -> Router<S> {
    let access = admin.access.clone();
    let guard = middleware::from_fn_with_state(access, admin::check);
    // The guard is the outer layer, so a refused request does not send its body first.
    finish(admin_routes(&admin).layer(guard), api).layer(Extension(Arc::new(admin)))
}

fn public_routes(api: &Api) -> OpenApiRouter<Api> {
    let mut without_body = OpenApiRouter::new()
        .routes(routes!(writes::rsvp, writes::cancel))
        .routes(routes!(reads::rsvp_count))
        .routes(routes!(reads::has_rsvped, writes::put_rsvp, writes::delete_rsvp))
        .routes(routes!(reads::attendees))
        .routes(routes!(reads::events_of))
        .routes(routes!(status::healthz))
        .routes(routes!(status::readyz))
        .routes(routes!(status::openapi));
    if api.config().metrics.is_some() {
        without_body = without_body.routes(routes!(status::metrics));
    }
    // Batches read their bodies themselves, with a larger limit.
    let batches = OpenApiRouter::new()
        .routes(routes!(batch::rsvp_counts))
        .routes(routes!(batch::memberships))
        .routes(routes!(batch::writes));
    OpenApiRouter::with_openapi(document::information("RSVP", "Who is coming to what."))
        .merge(without_body.route_layer(middleware::from_fn(body::drain)))
        .merge(batches)
}

fn admin_routes(admin: &Admin) -> OpenApiRouter<Api> {
    let mut routes = OpenApiRouter::with_openapi(document::information(
        "RSVP administration",
        "What operators do.",
    ))
    .routes(routes!(erase::remove_event))
    .routes(routes!(erase::remove_user))
    .routes(routes!(admin::health))
    .routes(routes!(admin::openapi));
    if admin.metrics.is_some() {
        routes = routes.routes(routes!(admin::metrics));
    }
    routes.route_layer(middleware::from_fn(body::drain))
}

/// Adds the shared parts of all routes.
///
/// They are the answers to unknown paths and methods, `Cache-Control` and metrics.
fn finish<S>(routes: OpenApiRouter<Api>, api: &Api) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    metrics::describe();
    let (router, document) = routes.split_for_parts();
    let templates: Arc<[String]> = document.paths.paths.into_keys().collect();
    let unknown = any(async move |uri: Uri| unknown_path(&templates, uri.path()));
    // Unknown paths have routes instead of a fallback.
    // Axum panics when a host nests a router with a fallback behind a prefix
    // that begins with a parameter.
    router
        .route("/", unknown.clone())
        .route("/{*rest}", unknown)
        .route_layer(middleware::from_fn(metrics::observe))
        .method_not_allowed_fallback(unknown_method)
        .layer(middleware::map_response(forbid_caching))
        .with_state(api.clone())
}

/// Returns the problem of an unknown path.
///
/// No route has an empty segment, so a request with an empty id arrives here.
/// It gets the error of a wrong input.
fn unknown_path(templates: &[String], path: &str) -> Problem {
    let empty_id = templates.iter().find_map(|template| empty_id(template, path));
    let unknown = || Problem::new(StatusCode::NOT_FOUND, "there is nothing at this path");
    empty_id.map_or_else(unknown, Problem::from)
}

fn empty_id(template: &str, path: &str) -> Option<Error> {
    if template.split('/').count() != path.split('/').count() {
        return None;
    }
    let mut empty = None;
    for (expected, segment) in template.split('/').zip(path.split('/')) {
        match placeholder(expected) {
            Some(name) if segment.is_empty() => empty = empty.or(Some(name)),
            None if segment != expected => return None,
            _ => {}
        }
    }
    match empty? {
        "event_id" => EventId::new("").err(),
        _ => UserId::new("").err(),
    }
}

async fn unknown_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "see the header Allow")
}

/// Forbids caching, unless the route has set `Cache-Control` itself.
///
/// An answer belongs to one user and one moment.
async fn forbid_caching(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
