//! Errors as `application/problem+json` (RFC 9457).

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use rsvp::{Error, Operation};
use serde::Serialize;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response as ResponseDoc, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

use crate::log;

const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request was not answered as asked.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Always `about:blank`: the status says which kind of problem it is.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The name of the status.
    title: &'static str,
    #[serde(serialize_with = "code")]
    #[schema(value_type = u16)]
    status: StatusCode,
    /// The failure, and a remedy.
    detail: String,
    /// The name of the wrong input.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'static str>,
    /// The effect of a failed write: `not_applied`, `unknown` (it took effect or it never will), or
    /// `pending` (it may still take effect).
    #[serde(skip_serializing_if = "Option::is_none")]
    effect: Option<&'static str>,
    /// The number of seconds after which a write whose effect is pending is decided. Do not repeat
    /// the request before.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or_default();
        let detail = detail.into();
        let (field, effect, retry_after) = (None, None, None);
        Self { kind: "about:blank", title, status, detail, field, effect, retry_after }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let (status, field) = match &error {
            Error::InvalidInput { field, .. } => (StatusCode::BAD_REQUEST, Some(*field)),
            Error::Overloaded { .. } | Error::Unavailable { .. } | Error::Closed { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, None)
            }
            Error::TimedOut { .. } => (StatusCode::GATEWAY_TIMEOUT, None),
            // Such as a deadlock that the engine has ended: the client repeats the request.
            error if error.is_retryable() => (StatusCode::SERVICE_UNAVAILABLE, None),
            // Corrupt data, a backend's own errors, and kinds that are yet to come.
            _ => (StatusCode::INTERNAL_SERVER_ERROR, None),
        };
        // What is refused for overload comes in thousands, and there is a metric of it.
        if status.is_server_error() && !matches!(error, Error::Overloaded { .. }) {
            log::failure("request failed", &error);
        }
        let written = error.operation().is_some_and(Operation::is_write);
        let effect = written.then(|| error.effect().as_str());
        let retry_after = error.retry_at().map(|at| whole_seconds(at.remaining()));
        Self { field, effect, retry_after, ..Self::new(status, error.to_string()) }
    }
}

/// Rounded up, and at least one: no earlier than the moment.
fn whole_seconds(left: Duration) -> u64 {
    left.as_secs().saturating_add(u64::from(left.subsec_nanos() > 0)).max(1)
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, retry_after) = (self.status, self.retry_after);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        } else if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// The problems that any request to the store can have.
impl IntoResponses for Problem {
    fn responses() -> BTreeMap<String, RefOr<ResponseDoc>> {
        [
            ("400", "An input is wrong; `field` names it"),
            ("408", "The body did not come in time"),
            ("413", "The body is too large"),
            ("431", "The headers are too large (without a body)"),
            ("500", "The store failed"),
            ("503", "The store is overloaded, unavailable or closed"),
            ("504", "The store did not answer in time"),
        ]
        .map(|(status, description)| (status.to_owned(), documented(status, description).into()))
        .into()
    }
}

fn documented(status: &str, description: &str) -> ResponseDoc {
    let response = ResponseBuilder::new().description(description);
    match status {
        "431" => return response.build(),
        "503" => response.header("Retry-After", seconds("Seconds to wait")),
        "500" | "504" => {
            response.header("Retry-After", seconds("As `retry_after`, if the effect is pending"))
        }
        _ => response,
    }
    .content(MEDIA_TYPE, problem_content())
    .build()
}

fn seconds(description: &str) -> utoipa::openapi::Header {
    HeaderBuilder::new().description(Some(description)).build()
}

fn problem_content() -> utoipa::openapi::Content {
    ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build()
}

fn code<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}
