//! The routes.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Json, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Router, middleware};
use metrics_exporter_prometheus::PrometheusHandle;
use rsvp::{
    Action, Consistency, Error, EventId, Outcome, Page, ReadOptions, Receipt, RsvpStore,
    RsvpStoreExt, UserId,
};
use serde::Serialize;
use tokio_util::task::TaskTracker;
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::body;
use crate::extract::{self, Caller, EventPath, PageQuery, SESSION_HEADER, Session, UserPath};
use crate::problem::Problem;

type Answer<T> = Result<Json<T>, Problem>;

/// The state of the service, shared by all requests.
#[derive(Clone, Debug)]
pub struct App {
    pub(crate) store: Arc<dyn RsvpStore>,
    /// The writes in flight, whether their clients still wait or not.
    pub(crate) writes: TaskTracker,
    /// The metrics that have been recorded.
    metrics: PrometheusHandle,
}

impl App {
    /// A service on `store` whose `/metrics` are those of the recorder behind `metrics`.
    pub fn new(store: Arc<dyn RsvpStore>, metrics: PrometheusHandle) -> Self {
        Self { store, writes: TaskTracker::new(), metrics }
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "RSVP",
        description = "Who is coming to what.",
        license(name = "MIT OR Apache-2.0")
    ),
    components(schemas(Problem))
)]
struct Document;

pub(crate) fn router(app: App) -> Router {
    let (router, document) = documented_routes().split_for_parts();
    let templates: Arc<[String]> = document.paths.paths.into_keys().collect();
    router
        .fallback(async move |uri: Uri| unknown_path(&templates, uri.path()))
        .method_not_allowed_fallback(unknown_method)
        .layer(middleware::from_fn(body::read))
        .with_state(app)
}

fn documented_routes() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(rsvp, cancel))
        .routes(routes!(rsvp_count))
        .routes(routes!(has_rsvped))
        .routes(routes!(attendees))
        .routes(routes!(events_of))
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .routes(routes!(metrics))
        .routes(routes!(openapi))
}

/// No route has an empty segment, so an empty id ends up here. It is a wrong input, not a wrong
/// path.
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
        match extract::placeholder(expected) {
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

#[derive(Debug, Serialize, ToSchema)]
struct Written {
    #[schema(value_type = String)]
    event_id: EventId,
    #[schema(value_type = String)]
    user_id: UserId,
    outcome: WrittenOutcome,
    /// Present and true if the store repeated the write after an attempt of unknown effect.
    /// `unchanged` then does not mean that the pair was in this state before the request.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    repeated: bool,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum WrittenOutcome {
    /// This request changed the pair.
    Applied,
    /// The pair was in this state already, or an earlier attempt of this request changed it: see
    /// `repeated`.
    Unchanged,
}

impl From<Outcome> for WrittenOutcome {
    fn from(outcome: Outcome) -> Self {
        if outcome.is_applied() { Self::Applied } else { Self::Unchanged }
    }
}

/// The user is coming to the event.
#[utoipa::path(
    post, path = "/events/{event_id}/rsvp", params(EventPath, Caller, Session),
    responses(
        (status = 201, description = "The user was not coming before", body = Written,
            headers(("RSVP-Session" = String, description = "Reads with it see this write"))),
        (status = 200, description = "The user was coming already: see `repeated`", body = Written,
            headers(("RSVP-Session" = String, description = "Reads with it see this write"))),
        Problem,
    )
)]
async fn rsvp(
    State(app): State<App>,
    event: EventPath,
    caller: Caller,
    session: Session,
) -> Result<Response, Problem> {
    app.write(Action::Rsvp, event, caller, session).await
}

/// The user is not coming to the event.
#[utoipa::path(
    delete, path = "/events/{event_id}/rsvp", params(EventPath, Caller, Session),
    responses(
        (status = 200, description = "The user is not coming now", body = Written,
            headers(("RSVP-Session" = String, description = "Reads with it see this write"))),
        Problem,
    )
)]
async fn cancel(
    State(app): State<App>,
    event: EventPath,
    caller: Caller,
    session: Session,
) -> Result<Response, Problem> {
    app.write(Action::Cancel, event, caller, session).await
}

impl App {
    async fn write(
        self,
        action: Action,
        EventPath { event_id }: EventPath,
        Caller { user_id }: Caller,
        session: Session,
    ) -> Result<Response, Problem> {
        let Receipt { outcome, repeated, mut token, .. } =
            self.finish_write(action, user_id.clone(), event_id.clone()).await?;
        token.merge(&session.token.unwrap_or_default());
        let token = HeaderValue::try_from(token.to_string()).map_err(|_| internal())?;

        let added = action == Action::Rsvp && outcome.is_applied();
        let status = if added { StatusCode::CREATED } else { StatusCode::OK };
        let written = Written { event_id, user_id, outcome: outcome.into(), repeated };
        Ok((status, [(SESSION_HEADER, token)], Json(written)).into_response())
    }

    /// In a task of its own: when the client hangs up, this call is dropped, and the write is not.
    async fn finish_write(
        self,
        action: Action,
        user: UserId,
        event: EventId,
    ) -> Result<Receipt, Problem> {
        let store = self.store;
        let write = self.writes.spawn(async move {
            match action {
                Action::Rsvp => store.rsvp(&user, &event).await,
                Action::Cancel => store.cancel(&user, &event).await,
            }
        });
        Ok(write.await.map_err(|_| internal())??)
    }
}

fn internal() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the write may have taken effect")
}

#[derive(Debug, Serialize, ToSchema)]
struct Counted {
    #[schema(value_type = String)]
    event_id: EventId,
    count: u64,
    /// The count was exact at some moment no longer ago than this, in milliseconds.
    age_ms: u64,
}

/// The number of users who are coming to the event. Without a session it is at most 5 seconds old.
#[utoipa::path(
    get, path = "/events/{event_id}/rsvp_count", params(EventPath, Session),
    responses((status = 200, description = "The count", body = Counted), Problem)
)]
async fn rsvp_count(
    State(app): State<App>,
    EventPath { event_id }: EventPath,
    session: Session,
) -> Answer<Counted> {
    let bounded = ReadOptions::bounded(Consistency::DEFAULT_COUNT_BOUND);
    let count = app.store.rsvp_count_with(&event_id, session.read_or(bounded)).await?;
    Ok(Json(Counted { event_id, count: count.value, age_ms: whole_milliseconds(count.age) }))
}

/// Rounded up: no younger than the count is.
fn whole_milliseconds(age: Duration) -> u64 {
    u64::try_from(age.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[derive(Debug, Serialize, ToSchema)]
struct Membership {
    #[schema(value_type = String)]
    event_id: EventId,
    #[schema(value_type = String)]
    user_id: UserId,
    rsvped: bool,
}

/// Whether the user is coming to the event.
#[utoipa::path(
    get, path = "/events/{event_id}/users/{user_id}", params(EventPath, UserPath, Session),
    responses((status = 200, description = "The answer", body = Membership), Problem)
)]
async fn has_rsvped(
    State(app): State<App>,
    EventPath { event_id }: EventPath,
    UserPath { user_id }: UserPath,
    session: Session,
) -> Answer<Membership> {
    let options = session.read_or(ReadOptions::strong());
    let rsvped = app.store.has_rsvped_with(&user_id, &event_id, options).await?;
    Ok(Json(Membership { event_id, user_id, rsvped }))
}

#[derive(Debug, Serialize, ToSchema)]
struct Items {
    /// At most `limit` ids. A page may be short, even empty, and not the last.
    items: Vec<String>,
    /// The beginning of the next page, null after the last.
    #[schema(required)]
    next_cursor: Option<String>,
}

impl<T: Into<String>> From<Page<T>> for Items {
    fn from(page: Page<T>) -> Self {
        let items = page.items.into_iter().map(Into::into).collect();
        Self { items, next_cursor: page.next.map(|cursor| cursor.to_string()) }
    }
}

/// The users who are coming to the event.
#[utoipa::path(
    get, path = "/events/{event_id}/users", params(EventPath, PageQuery, Session),
    responses((status = 200, description = "A page of user ids", body = Items), Problem)
)]
async fn attendees(
    State(app): State<App>,
    EventPath { event_id }: EventPath,
    page: PageQuery,
    session: Session,
) -> Answer<Items> {
    let page = app.store.attendees_page(&event_id, &page.request(session)).await?;
    Ok(Json(page.into()))
}

/// The events that the user is coming to.
#[utoipa::path(
    get, path = "/users/{user_id}/events", params(UserPath, PageQuery, Session),
    responses((status = 200, description = "A page of event ids", body = Items), Problem)
)]
async fn events_of(
    State(app): State<App>,
    UserPath { user_id }: UserPath,
    page: PageQuery,
    session: Session,
) -> Answer<Items> {
    let page = app.store.events_of_page(&user_id, &page.request(session)).await?;
    Ok(Json(page.into()))
}

/// The service is alive.
#[utoipa::path(
    get, path = "/healthz", responses((status = 200, description = "The service is alive"))
)]
async fn healthz() {}

/// The store would take a write now.
#[utoipa::path(
    get, path = "/readyz", responses((status = 200, description = "The store is ready"), Problem)
)]
async fn readyz(State(app): State<App>) -> Result<(), Problem> {
    Ok(app.store.ready().await?)
}

/// Metrics in the text format of Prometheus.
#[utoipa::path(
    get, path = "/metrics",
    responses((status = 200, description = "All metrics", body = String,
        content_type = "text/plain; version=0.0.4"))
)]
async fn metrics(State(app): State<App>) -> ([(HeaderName, &'static str); 1], String) {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], app.metrics.render())
}

/// This description.
#[utoipa::path(
    get, path = "/openapi.json",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value))
)]
async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(documented_routes().into_openapi())
}
