//! The admin routes.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Method, Request, StatusCode};
use rsvp::layers::{Shard, ShardedStore};
use rsvp::{MemoryStore, RsvpStore, RsvpTable};
use rsvp_axum::{Admin, AdminAccess, Config, PathUsers};
use serde_json::json;

use crate::calls::{api, api_of, get, post, routes, send};
use crate::probe::Probe;

fn delete() -> Method {
    Method::DELETE
}

#[tokio::test]
async fn there_are_no_admin_routes_unless_asked_for() {
    let routes = routes(Config::default());
    for (method, path) in [
        (delete(), "/events/1"),
        (delete(), "/users/1"),
        (Method::GET, "/health"),
        (Method::GET, "/metrics"),
    ] {
        assert_eq!(send(&routes, method, path, &[], Body::empty()).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_removal_leaves_nothing_and_may_be_repeated() {
    let api = api(Config::default().with_path_users(PathUsers::GatewayDecides));
    let (routes, admin) = (api.router(), api.admin_router(Admin::new(AdminAccess::open())));
    let writes: Vec<_> = (0..20)
        .map(|n| json!({"action": "rsvp", "event_id": format!("{}", n % 2), "user_id": format!("{n}")}))
        .collect();
    post(&routes, "/writes", &[], &json!({"writes": writes})).await;

    let answer = send(&admin, delete(), "/events/0", &[], Body::empty()).await;
    assert_eq!((answer.status.as_u16(), answer.json), (200, json!({"removed": 10, "more": false})));
    assert_eq!(get(&routes, "/events/0/rsvp_count").await.json["count"], 0);
    assert_eq!(get(&routes, "/events/1/rsvp_count").await.json["count"], 10);
    let again = send(&admin, delete(), "/events/0", &[], Body::empty()).await;
    assert_eq!(again.json, json!({"removed": 0, "more": false}));
    let user = send(&admin, delete(), "/users/1", &[], Body::empty()).await;
    assert_eq!(user.json, json!({"removed": 1, "more": false}));
}

/// A table with more RSVPs of one event than a step removes.
fn crowd() -> Arc<MemoryStore> {
    let store = MemoryStore::new();
    let table: &RsvpTable = store.table();
    for user in 0..2500 {
        table.rsvp(&rsvp::UserId::from(user), &rsvp::EventId::from(1));
    }
    Arc::new(store)
}

#[tokio::test]
async fn a_long_removal_answers_how_far_it_has_got() {
    let api = api_of(crowd(), Config::default());
    let admin = Admin::new(AdminAccess::open()).with_step_time(Duration::ZERO);
    let admin = api.admin_router(admin);
    let mut removed = 0;
    for status in [202, 202, 200] {
        let answer = send(&admin, delete(), "/events/1", &[], Body::empty()).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.json["more"], status == 202);
        removed += answer.json["removed"].as_u64().unwrap();
    }
    assert_eq!(removed, 2500);
}

#[tokio::test]
async fn a_removal_that_fails_on_the_way_says_what_it_did() {
    let down = rsvp::Error::unavailable(rsvp::Operation::RemoveEvent, rsvp::Effect::Unknown, None);
    let (store, _) = Probe::failing(vec![down]);
    let admin = api_of(store, Config::default()).admin_router(Admin::new(AdminAccess::open()));
    let failed = send(&admin, delete(), "/events/1", &[], Body::empty()).await;
    assert_eq!((failed.status.as_u16(), failed.json["effect"].as_str()), (503, Some("unknown")));
    assert_eq!(send(&admin, delete(), "/events/1", &[], Body::empty()).await.status, 200);
}

/// Someone whom the host has marked as an operator.
struct Operator;

impl FromRequestParts<()> for Operator {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, (): &()) -> Result<Self, StatusCode> {
        let role = parts.headers.get("x-role").map(|role| role.as_bytes());
        if role == Some(b"operator") { Ok(Self) } else { Err(StatusCode::FORBIDDEN) }
    }
}

#[tokio::test]
async fn only_operators_are_let_in() {
    let api = api(Config::default());
    let bearer = api.admin_router(Admin::new(AdminAccess::bearer("s3cret")));
    for (token, status) in [
        ("Bearer s3cret", 200),
        ("Bearer s3cre", 401),
        ("Bearer s3cret2", 401),
        ("s3cret", 401),
        ("", 401),
    ] {
        let headers = [("authorization", token)];
        for (method, path) in [(delete(), "/users/1"), (Method::GET, "/health")] {
            let answer = send(&bearer, method, path, &headers, Body::empty()).await;
            assert_eq!(answer.status, status, "{token} {path}");
        }
    }
    let hook = api.admin_router(Admin::new(AdminAccess::extractor::<Operator, ()>(())));
    let operator = [("x-role", "operator")];
    assert_eq!(send(&hook, delete(), "/users/1", &operator, Body::empty()).await.status, 200);
    assert_eq!(send(&hook, delete(), "/users/1", &[], Body::empty()).await.status, 403);
}

#[tokio::test]
async fn operators_see_the_parts_and_clients_do_not() {
    let (broken, _) = Probe::failing(vec![
        rsvp::Error::unavailable(
            rsvp::Operation::Ready,
            rsvp::Effect::NotApplied,
            None
        );
        4
    ]);
    let whole: Arc<dyn RsvpStore> = Arc::new(MemoryStore::new());
    let shards = [Shard::new("eu1", whole), Shard::new("eu2", broken)];
    let store = ShardedStore::new(shards, 1).unwrap();
    let api = api_of(Arc::new(store), Config::default());
    let admin = Admin::new(AdminAccess::open()).with_metrics(|| "up 1\n".to_owned());
    let admin = api.admin_router(admin);

    let health = get(&admin, "/health").await;
    assert_eq!(health.status, 503);
    let parts = health.json["parts"].as_array().unwrap();
    let part = |name: &str| parts.iter().find(|part| part["name"] == name).unwrap();
    assert_eq!((parts.len(), &part("eu1")["ready"]), (2, &json!(true)));
    assert_eq!(part("eu2")["ready"], false);
    assert!(part("eu2")["error"].is_string());

    let ready = get(&api.router(), "/readyz").await;
    assert!(!ready.json.to_string().contains("eu2"), "{ready:?}");
    let metrics = Request::builder().uri("/metrics").body(Body::empty()).unwrap();
    let metrics = tower::ServiceExt::oneshot(admin.clone(), metrics).await.unwrap();
    assert_eq!(metrics.headers()["content-type"], "text/plain; version=0.0.4");
    let document = get(&admin, "/openapi.json").await.json;
    assert!(document["paths"]["/events/{event_id}"]["delete"].is_object());
}
