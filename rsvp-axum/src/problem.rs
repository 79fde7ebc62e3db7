//! Errors as `application/problem+json` (RFC 9457).

use std::time::Duration;

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use rsvp_core::{Cursor, Error, Operation};
use serde::Serialize;
use utoipa::ToSchema;

use crate::log;

pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request failed.
///
/// Every failed route answers with it. A hook of the host can do so, too:
///
/// ```
/// use axum::http::StatusCode;
/// use axum::response::IntoResponse;
/// use rsvp_axum::Problem;
///
/// let answer = Problem::new(StatusCode::UNAUTHORIZED, "log in first").into_response();
/// assert_eq!(answer.headers()["content-type"], "application/problem+json");
/// ```
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`. The status tells the kind of problem.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The name of the status.
    title: &'static str,
    #[serde(serialize_with = "code")]
    #[schema(value_type = u16)]
    status: StatusCode,
    /// The failure and a remedy.
    detail: String,
    /// The name of the wrong input.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    field: Option<&'static str>,
    /// The effect of a failed write. It is `not_applied`,
    /// `unknown` (it took effect or it never will) or `pending` (it may still take effect).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    effect: Option<&'static str>,
    /// The number of seconds until a pending write is decided. Do not repeat the request before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u64, required = false)]
    retry_after: Option<u64>,
}

impl Problem {
    /// Creates a problem with this status. `detail` tells the client the failure and a remedy.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or_default();
        let detail = detail.into();
        let (field, effect, retry_after) = (None, None, None);
        Self { kind: "about:blank", title, status, detail, field, effect, retry_after }
    }

    /// Returns the status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Sets the name of the wrong input.
    #[must_use]
    pub(crate) fn of_field(self, field: &'static str) -> Self {
        Self { field: Some(field), ..self }
    }

    /// Maps an error without logging it.
    pub(crate) fn of(error: &Error) -> Self {
        let (status, field) = match error {
            Error::InvalidInput { field, .. } => (StatusCode::BAD_REQUEST, Some(*field)),
            Error::Overloaded { .. } | Error::Unavailable { .. } | Error::Closed { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, None)
            }
            Error::TimedOut { .. } => (StatusCode::GATEWAY_TIMEOUT, None),
            // For example a deadlock, ended by the database. The client repeats the request.
            error if error.is_retryable() => (StatusCode::SERVICE_UNAVAILABLE, None),
            // Corrupt data, other errors of a backend, and future kinds of errors.
            _ => (StatusCode::INTERNAL_SERVER_ERROR, None),
        };
        let written = error.operation().is_some_and(Operation::is_write);
        let effect = written.then(|| error.effect().as_str());
        let retry_after = error.retry_at().map(|at| whole_seconds(at.remaining()));
        Self { field, effect, retry_after, ..Self::new(status, detail(error)) }
    }
}

/// Returns the text of an error for a client.
///
/// The names of shards and the data of the store are left out. They are in the log.
fn detail(error: &Error) -> String {
    match error {
        Error::InvalidInput { field: "cursor", .. } => Cursor::refused().to_string(),
        Error::Corrupt { operation, .. } => {
            format!("{operation} found corrupt data, which needs repair")
        }
        error => error.to_string(),
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let problem = Self::of(&error);
        // Overload refuses thousands of requests, and a metric counts them.
        // Log lines would add load.
        if problem.status.is_server_error() && !matches!(error, Error::Overloaded { .. }) {
            log::failure("request failed", &error);
        }
        problem
    }
}

/// Rounds up to at least one second, so that a client never comes too early.
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
            // The header repeats `retry_after` for clients and proxies that do not read the body.
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        } else if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

fn code<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}
