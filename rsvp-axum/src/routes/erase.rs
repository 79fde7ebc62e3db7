//! Removals, in bounded steps.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use rsvp_core::{EventId, PageLimit, RemovalStep, Result, UserId};
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::document::Unauthorized;
use crate::Api;
use crate::config::Admin;
use crate::extract::{EventPath, TimeLimit, UserPath};
use crate::problem::Problem;

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Removed {
    /// The number of RSVPs removed by this request.
    removed: u64,
    /// Whether more RSVPs are left. Repeat the request until none are left.
    more: bool,
    /// Present and true if the store repeated a step after an attempt of unknown effect.
    /// The number of removed RSVPs may then be higher than `removed`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    repeated: bool,
}

/// Removes all RSVPs of the event. A request works for some seconds. It may be repeated, also after
/// a failure.
#[utoipa::path(
    delete, path = "/events/{event_id}", params(EventPath, TimeLimit),
    responses(
        (status = 200, description = "Nothing is left", body = Removed),
        (status = 202, description = "There are more: repeat the request", body = Removed),
        Problem, Unauthorized,
    )
)]
pub(super) async fn remove_event(
    State(api): State<Api>,
    Extension(admin): Extension<Arc<Admin>>,
    EventPath { event_id }: EventPath,
    limit: TimeLimit,
) -> Result<(StatusCode, Json<Removed>), Problem> {
    remove(&api, &admin, limit, Subject::Event(event_id)).await
}

/// Removes all RSVPs of the user. A request works for some seconds. It may be repeated, also after
/// a failure.
#[utoipa::path(
    delete, path = "/users/{user_id}", params(UserPath, TimeLimit),
    responses(
        (status = 200, description = "Nothing is left", body = Removed),
        (status = 202, description = "There are more: repeat the request", body = Removed),
        Problem, Unauthorized,
    )
)]
pub(super) async fn remove_user(
    State(api): State<Api>,
    Extension(admin): Extension<Arc<Admin>>,
    UserPath { user_id }: UserPath,
    limit: TimeLimit,
) -> Result<(StatusCode, Json<Removed>), Problem> {
    remove(&api, &admin, limit, Subject::User(user_id)).await
}

/// The event or the user of a removal.
#[derive(Clone, Debug)]
enum Subject {
    Event(EventId),
    User(UserId),
}

/// Removes step by step, until nothing is left or the time is up.
///
/// A begun step always runs to its end. After a disconnect of the client no other one begins.
async fn remove(
    api: &Api,
    admin: &Admin,
    limit: TimeLimit,
    subject: Subject,
) -> Result<(StatusCode, Json<Removed>), Problem> {
    let until = Instant::now() + admin.step_time;
    let mut sum = Removed { removed: 0, more: true, repeated: false };
    while sum.more {
        let done = match api.finish(step(api.clone(), subject.clone(), limit)).await? {
            Ok(done) => done,
            // The client learns the progress so far.
            // Its repetition meets the failure, if it persists.
            Err(error) if sum.removed > 0 && error.is_retryable() => break,
            Err(error) => return Err(error.into()),
        };
        sum.removed = sum.removed.saturating_add(done.removed);
        sum.repeated |= done.repeated;
        sum.more = done.more;
        // The time is checked after a step, so that every request makes progress.
        if Instant::now() >= until || limit.has_passed() {
            break;
        }
    }
    let status = if sum.more { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, Json(sum)))
}

async fn step(api: Api, subject: Subject, limit: TimeLimit) -> Result<RemovalStep> {
    let (size, options) = (PageLimit::default(), limit.write());
    match subject {
        Subject::Event(event) => api.store().remove_event_step(&event, size, &options).await,
        Subject::User(user) => api.store().remove_user_step(&user, size, &options).await,
    }
}
