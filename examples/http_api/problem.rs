//! Errors as `application/problem+json` (RFC 9457).

use std::collections::BTreeMap;

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use rsvp::Error;
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
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or_default();
        Self { kind: "about:blank", title, status, detail: detail.into(), field: None }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let (status, field) = match &error {
            Error::InvalidInput { field, .. } => (StatusCode::BAD_REQUEST, Some(*field)),
            Error::Overloaded { .. } | Error::Unavailable { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, None)
            }
            Error::TimedOut { .. } => (StatusCode::GATEWAY_TIMEOUT, None),
            // Corrupt data, a backend's own errors, and kinds that are yet to come.
            _ => (StatusCode::INTERNAL_SERVER_ERROR, None),
        };
        // What is refused for overload comes in thousands, and there is a metric of it.
        if status.is_server_error() && !matches!(error, Error::Overloaded { .. }) {
            log::failure("request failed", &error);
        }
        Self { field, ..Self::new(status, error.to_string()) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if status == StatusCode::SERVICE_UNAVAILABLE {
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
            ("503", "The store is overloaded or unavailable"),
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
        "503" => {
            let seconds = HeaderBuilder::new().description(Some("Seconds to wait")).build();
            response.header("Retry-After", seconds)
        }
        _ => response,
    }
    .content(MEDIA_TYPE, problem_content())
    .build()
}

fn problem_content() -> utoipa::openapi::Content {
    ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build()
}

fn code<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}
