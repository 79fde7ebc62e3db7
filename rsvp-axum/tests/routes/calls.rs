//! Requests to a router.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use rsvp::{MemoryStore, RsvpStore};
use rsvp_axum::{Api, Config};
use serde_json::Value;
use tower::ServiceExt;

/// The answer to a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) json: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// The routes of an empty store.
pub(crate) fn routes(config: Config) -> Router {
    api(config).router()
}

pub(crate) fn api(config: Config) -> Api {
    api_of(Arc::new(MemoryStore::new()), config)
}

pub(crate) fn api_of(store: Arc<dyn RsvpStore>, config: Config) -> Api {
    Api::new(store, config)
}

pub(crate) async fn send(
    router: &Router,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Body,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, value.as_bytes());
    }
    let response = router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let json = serde_json::from_slice(&bytes).unwrap_or_default();
    Answer { status: parts.status, headers: parts.headers, json }
}

pub(crate) async fn get(router: &Router, path: &str) -> Answer {
    send(router, Method::GET, path, &[], Body::empty()).await
}

/// A request of a user without a body.
pub(crate) async fn as_user(router: &Router, user: &str, method: Method, path: &str) -> Answer {
    send(router, method, path, &[("x-user-id", user)], Body::empty()).await
}

/// A request with a JSON body.
pub(crate) async fn post(
    router: &Router,
    path: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> Answer {
    let headers = [headers, &[("content-type", "application/json")]].concat();
    send(router, Method::POST, path, &headers, Body::from(body.to_string())).await
}
