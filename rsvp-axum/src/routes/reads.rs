//! Single reads. A disconnect of the client cancels them.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, VARY};
use axum::response::{IntoResponse, Response};
use rsvp_core::{Consistency, Count, EventId, Operation, Page, ReadOptions, RsvpStoreExt, UserId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::Api;
use crate::extract::{EventPath, PageQuery, PairPath, Session, TimeLimit, UserPath};
use crate::problem::Problem;

type Answer<T> = Result<Json<T>, Problem>;

#[derive(Debug, Serialize, ToSchema)]
struct Counted {
    #[schema(value_type = String)]
    event_id: EventId,
    count: u64,
    /// The count was exact at a moment within the last `age_ms` milliseconds.
    age_ms: u64,
}

/// The number of attendees of the event. Without a session it is at most 5 seconds old.
#[utoipa::path(
    get, path = "/events/{event_id}/rsvp_count", params(EventPath, Session, TimeLimit),
    responses((status = 200, description = "The count", body = Counted), Problem)
)]
pub(super) async fn rsvp_count(
    State(api): State<Api>,
    EventPath { event_id }: EventPath,
    session: Session,
    limit: TimeLimit,
) -> Result<Response, Problem> {
    let max_age = api.config().count_max_age.filter(|_| session.token.is_none());
    let bounded = ReadOptions::bounded(Consistency::DEFAULT_COUNT_BOUND);
    let options = limit.read(session.read_or(bounded));
    let count: Count = api.store().rsvp_count_with(&event_id, options).await?;
    let age_ms = whole_milliseconds(count.age);
    let counted = Json(Counted { event_id, count: count.value, age_ms });
    // The count has an age already, so a cache may keep it for the rest of the allowed age.
    let seconds = max_age.map_or(0, |max_age| max_age.saturating_sub(count.age).as_secs());
    let mut response = counted.into_response();
    if seconds > 0 {
        let kept = HeaderValue::try_from(format!("private, max-age={seconds}"));
        response.headers_mut().extend(kept.ok().map(|kept| (CACHE_CONTROL, kept)));
    }
    if api.config().count_max_age.is_some() {
        // A session must see its own writes, so a cached answer is never used for it.
        response.headers_mut().insert(VARY, HeaderValue::from_static("RSVP-Session"));
    }
    Ok(response)
}

/// Rounds up, so that the age is never below the age of the count.
pub(super) fn whole_milliseconds(age: Duration) -> u64 {
    u64::try_from(age.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Membership {
    #[schema(value_type = String)]
    event_id: EventId,
    #[schema(value_type = String)]
    user_id: UserId,
    rsvped: bool,
}

/// Whether the user is coming to the event.
#[utoipa::path(
    get, path = "/events/{event_id}/users/{user_id}",
    params(EventPath, UserPath, Session, TimeLimit),
    responses((status = 200, description = "The answer", body = Membership), Problem)
)]
pub(super) async fn has_rsvped(
    State(api): State<Api>,
    PairPath { event_id, user_id }: PairPath,
    session: Session,
    limit: TimeLimit,
) -> Answer<Membership> {
    let options = limit.read(session.read_or(ReadOptions::strong()));
    let rsvped = api.store().has_rsvped_with(&user_id, &event_id, options).await?;
    Ok(Json(Membership { event_id, user_id, rsvped }))
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Items<T> {
    /// At most `limit` ids. A short or even empty page need not be the last one.
    #[schema(value_type = Vec<String>)]
    items: Vec<T>,
    /// The beginning of the next page, or null after the last one.
    #[schema(required)]
    next_cursor: Option<String>,
}

impl<T> From<Page<T>> for Items<T> {
    fn from(page: Page<T>) -> Self {
        Self { items: page.items, next_cursor: page.next.map(|cursor| cursor.to_string()) }
    }
}

/// The attendees of the event.
#[utoipa::path(
    get, path = "/events/{event_id}/users", params(EventPath, PageQuery, Session, TimeLimit),
    responses((status = 200, description = "A page of user ids", body = Items<String>), Problem)
)]
pub(super) async fn attendees(
    State(api): State<Api>,
    EventPath { event_id }: EventPath,
    page: PageQuery,
    session: Session,
    limit: TimeLimit,
) -> Result<Response, Problem> {
    let request = page.request(limit.read(session.read_or(ReadOptions::strong())));
    // The permit is held until the answer is serialized, because this takes the most time.
    let _turn = api.turn(&request, limit, Operation::Attendees).await?;
    let page = api.store().attendees_page(&event_id, &request).await?;
    Ok(Json(Items::from(page)).into_response())
}

/// The events that the user is coming to.
#[utoipa::path(
    get, path = "/users/{user_id}/events", params(UserPath, PageQuery, Session, TimeLimit),
    responses((status = 200, description = "A page of event ids", body = Items<String>), Problem)
)]
pub(super) async fn events_of(
    State(api): State<Api>,
    UserPath { user_id }: UserPath,
    page: PageQuery,
    session: Session,
    limit: TimeLimit,
) -> Result<Response, Problem> {
    let request = page.request(limit.read(session.read_or(ReadOptions::strong())));
    // As for the attendees, the permit is held until the answer is serialized.
    let _turn = api.turn(&request, limit, Operation::EventsOf).await?;
    let page = api.store().events_of_page(&user_id, &request).await?;
    Ok(Json(Items::from(page)).into_response())
}
