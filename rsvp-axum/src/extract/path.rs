//! Ids in paths, and the user of a request.

use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use rsvp_core::{EventId, Result, UserId};
use utoipa::IntoParams;

use super::percent_decoded;
use crate::Api;
use crate::config::PathUsers;
use crate::problem::Problem;

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct EventPath {
    /// 1 to 255 bytes of UTF-8 without control characters, percent-encoded, also `/`.
    #[param(value_type = String, min_length = 1, max_length = 255, pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$")]
    pub(crate) event_id: EventId,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct UserPath {
    /// 1 to 255 bytes of UTF-8 without control characters, percent-encoded, also `/`.
    #[param(value_type = String, min_length = 1, max_length = 255, pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$")]
    pub(crate) user_id: UserId,
}

/// The user of the request, from the identity hook.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct Caller {
    /// The user, authenticated by the gateway. The id is 1 to 255 bytes of UTF-8 without control
    /// characters. HTTP strips spaces around the value of a header,
    /// so it must not begin or end with a space.
    #[param(rename = "X-User-Id", value_type = String, min_length = 1, max_length = 255, pattern = "^[!-~]([ -~]*[!-~])?$")]
    pub(crate) user_id: UserId,
}

/// An event and a user.
#[derive(Debug)]
pub(crate) struct PairPath {
    pub(crate) event_id: EventId,
    pub(crate) user_id: UserId,
}

/// An event and a user in the path. The user is the caller, if the host asks for this.
#[derive(Debug)]
pub(crate) struct OwnPath(pub(crate) PairPath);

/// Returns `name` of a segment `{name}` in a route.
pub(crate) fn placeholder(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

/// Returns the bytes of the path at the position of `{name}` in the route.
///
/// The search begins at the end. When a host nests the routes, axum takes the prefix off the path,
/// but not off the matched route.
fn path_bytes(parts: &Parts, name: &'static str) -> Result<Vec<u8>> {
    let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let mut segments = route.rsplit('/').zip(parts.uri.path().rsplit('/'));
    let raw = segments.find(|(expected, _)| placeholder(expected) == Some(name));
    percent_decoded(name, raw.map_or("", |(_, raw)| raw).as_bytes())
}

fn event(parts: &Parts) -> Result<EventPath> {
    let event_id = EventId::from_utf8(&path_bytes(parts, "event_id")?)?;
    Ok(EventPath { event_id })
}

fn user(parts: &Parts) -> Result<UserPath> {
    let user_id = UserId::from_utf8(&path_bytes(parts, "user_id")?)?;
    Ok(UserPath { user_id })
}

fn pair(parts: &Parts) -> Result<PairPath> {
    let (EventPath { event_id }, UserPath { user_id }) = (event(parts)?, user(parts)?);
    Ok(PairPath { event_id, user_id })
}

impl<S: Sync> FromRequestParts<S> for EventPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(event(parts)?)
    }
}

impl<S: Sync> FromRequestParts<S> for UserPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(user(parts)?)
    }
}

impl<S: Sync> FromRequestParts<S> for PairPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(pair(parts)?)
    }
}

impl FromRequestParts<Api> for Caller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Response> {
        Ok(Self { user_id: api.config().identity.of(parts).await? })
    }
}

impl FromRequestParts<Api> for OwnPath {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Response> {
        let pair = pair(parts).map_err(|error| Problem::from(error).into_response())?;
        if api.config().path_users == PathUsers::MustBeCaller {
            let caller = api.config().identity.of(parts).await?;
            if caller != pair.user_id {
                return Err(not_the_caller().into_response());
            }
        }
        Ok(Self(pair))
    }
}

/// Returns the problem of a write for another user.
pub(crate) fn not_the_caller() -> Problem {
    let detail = "the user of the request may not write for this user";
    Problem::new(StatusCode::FORBIDDEN, detail).of_field("user_id")
}
