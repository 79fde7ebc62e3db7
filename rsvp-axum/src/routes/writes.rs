//! Single writes.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use rsvp_core::{
    Action, EventId, Outcome, Receipt, RsvpStoreExt, SessionToken, UserId, WriteOptions,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::document::{Forbidden, Repeated};
use crate::Api;
use crate::api::lost_answer;
use crate::extract::{
    Caller, EventPath, IdempotencyKey, OwnPath, PairPath, SESSION_HEADER, Session, TimeLimit,
    UserPath,
};
use crate::problem::Problem;

#[derive(Debug, Serialize, ToSchema)]
struct Written {
    #[schema(value_type = String)]
    event_id: EventId,
    #[schema(value_type = String)]
    user_id: UserId,
    outcome: WrittenOutcome,
    /// Present and true if the store repeated the write after an attempt of unknown effect.
    /// An outcome of `unchanged` then tells nothing about the state before the request.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    repeated: bool,
}

#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum WrittenOutcome {
    /// This request changed the pair.
    Applied,
    /// The pair was in this state already, or an earlier attempt of this request changed it (see
    /// `repeated`).
    Unchanged,
}

impl From<Outcome> for WrittenOutcome {
    fn from(outcome: Outcome) -> Self {
        if outcome.is_applied() { Self::Applied } else { Self::Unchanged }
    }
}

/// The user of the request is coming to the event.
#[utoipa::path(
    post, path = "/events/{event_id}/rsvp",
    params(EventPath, Caller, Session, TimeLimit, IdempotencyKey),
    responses(
        (status = 201, description = "The user was not coming before", body = Written,
            headers(("RSVP-Session" = String, description = "Reads with it see this write"))),
        (status = 200, description = "The user was coming already: see `repeated`", body = Written,
            headers(("RSVP-Session" = String, description = "Reads with it see this write"))),
        Problem, Repeated,
    )
)]
pub(super) async fn rsvp(
    State(api): State<Api>,
    EventPath { event_id }: EventPath,
    Caller { user_id }: Caller,
    session: Session,
    limit: TimeLimit,
    key: IdempotencyKey,
) -> Response {
    // A key belongs to one user. The hash detects the same key with another event.
    let mut hasher = DefaultHasher::new();
    ("rsvp", &event_id).hash(&mut hasher);
    let pair = PairPath { event_id, user_id: user_id.clone() };
    let write = write(api.clone(), Action::Rsvp, pair, session.clone(), limit);
    api.finish_once(key, Some(user_id), hasher.finish(), session, write).await
}

/// The user of the request is not coming to the event.
#[utoipa::path(
    delete, path = "/events/{event_id}/rsvp", params(EventPath, Caller, Session, TimeLimit),
    responses(
        (status = 200, description = "The user is not coming now", body = Written,
            headers(("RSVP-Session" = String, description = "Reads with it see this write"))),
        Problem,
    )
)]
pub(super) async fn cancel(
    State(api): State<Api>,
    EventPath { event_id }: EventPath,
    Caller { user_id }: Caller,
    session: Session,
    limit: TimeLimit,
) -> Response {
    let pair = PairPath { event_id, user_id };
    finish(api.clone(), write(api, Action::Cancel, pair, session, limit)).await
}

/// The user is coming to the event.
#[utoipa::path(
    put, path = "/events/{event_id}/users/{user_id}",
    params(EventPath, UserPath, Caller, Session, TimeLimit),
    responses(
        (status = 201, description = "The user was not coming before", body = Written,
            headers(("RSVP-Session" = String, description = "Reads with it see this write"))),
        (status = 200, description = "The user was coming already: see `repeated`", body = Written,
            headers(("RSVP-Session" = String, description = "Reads with it see this write"))),
        Problem, Forbidden,
    )
)]
pub(super) async fn put_rsvp(
    State(api): State<Api>,
    OwnPath(pair): OwnPath,
    session: Session,
    limit: TimeLimit,
) -> Response {
    finish(api.clone(), write(api, Action::Rsvp, pair, session, limit)).await
}

/// The user is not coming to the event.
#[utoipa::path(
    delete, path = "/events/{event_id}/users/{user_id}",
    params(EventPath, UserPath, Caller, Session, TimeLimit),
    responses(
        (status = 200, description = "The user is not coming now", body = Written,
            headers(("RSVP-Session" = String, description = "Reads with it see this write"))),
        Problem, Forbidden,
    )
)]
pub(super) async fn delete_rsvp(
    State(api): State<Api>,
    OwnPath(pair): OwnPath,
    session: Session,
    limit: TimeLimit,
) -> Response {
    finish(api.clone(), write(api, Action::Cancel, pair, session, limit)).await
}

async fn finish(api: Api, write: impl Future<Output = Response> + Send + 'static) -> Response {
    api.finish(write).await.unwrap_or_else(IntoResponse::into_response)
}

/// Runs a write, and answers with its outcome and the token of the session.
async fn write(
    api: Api,
    action: Action,
    PairPath { event_id, user_id }: PairPath,
    session: Session,
    limit: TimeLimit,
) -> Response {
    let options: WriteOptions = limit.write();
    let receipt = match action {
        Action::Rsvp => api.store().rsvp_with(&user_id, &event_id, options).await,
        Action::Cancel => api.store().cancel_with(&user_id, &event_id, options).await,
    };
    let Receipt { outcome, repeated, token, .. } = match receipt {
        Ok(receipt) => receipt,
        Err(error) => return Problem::from(error).into_response(),
    };
    // A repetition after an unknown effect is 200, because its outcome is `unchanged`.
    let added = action == Action::Rsvp && outcome.is_applied();
    let status = if added { StatusCode::CREATED } else { StatusCode::OK };
    let written = Written { event_id, user_id, outcome: outcome.into(), repeated };
    (status, with_token(token, &session, Json(written))).into_response()
}

/// Adds the header with the token of a write and of its session.
pub(super) fn with_token(
    token: SessionToken,
    session: &Session,
    body: impl IntoResponse,
) -> Response {
    match session.header(token) {
        Some(token) => ([(SESSION_HEADER, token)], body).into_response(),
        None => lost_answer().into_response(),
    }
}
