//! The answers of the verbs.

use hyper::Method;
use serde_json::json;

use crate::service::{Service, assert_problem, cancel, get, rsvp};

#[tokio::test]
async fn the_first_rsvp_is_201_and_a_repeated_one_is_200() {
    let service = Service::start();
    let client = &mut service.client().await;
    let first = rsvp(client, "101a", "1").await;
    assert_eq!(first.status, 201);
    assert_eq!(first.headers["content-type"], "application/json");
    let body = json!({"event_id": "101a", "user_id": "1", "outcome": "applied"});
    assert_eq!(first.json, body);

    let repeated = rsvp(client, "101a", "1").await;
    assert_eq!(repeated.status, 200);
    let body = json!({"event_id": "101a", "user_id": "1", "outcome": "unchanged"});
    assert_eq!(repeated.json, body);
}

#[tokio::test]
async fn a_cancel_is_200_whether_it_changes_anything_or_not() {
    let service = Service::start();
    let client = &mut service.client().await;
    rsvp(client, "101a", "1").await;
    for outcome in ["applied", "unchanged"] {
        let answer = cancel(client, "101a", "1").await;
        assert_eq!(answer.status, 200);
        let body = json!({"event_id": "101a", "user_id": "1", "outcome": outcome});
        assert_eq!(answer.json, body);
    }
}

#[tokio::test]
async fn reads_follow_the_writes() {
    let service = Service::start();
    let client = &mut service.client().await;
    for (user, event) in [("1", "101a"), ("2", "101a"), ("3", "102")] {
        rsvp(client, event, user).await;
    }
    cancel(client, "101a", "1").await;
    for (user, rsvped) in [("1", false), ("2", true), ("3", false)] {
        let answer = get(client, &format!("/events/101a/users/{user}")).await;
        assert_eq!(answer.status, 200);
        let body = json!({"event_id": "101a", "user_id": user, "rsvped": rsvped});
        assert_eq!(answer.json, body);
    }
    for (event, count) in [("101a", 1), ("102", 1), ("103", 0)] {
        let answer = get(client, &format!("/events/{event}/rsvp_count")).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json, json!({"event_id": event, "count": count, "age_ms": 0}));
    }
    let attendees = get(client, "/events/101a/users").await;
    assert_eq!(attendees.json, json!({"items": ["2"], "next_cursor": null}));
    let events = get(client, "/users/1/events").await;
    assert_eq!(events.json, json!({"items": [], "next_cursor": null}));
}

#[tokio::test]
async fn the_service_is_alive_and_the_store_is_ready() {
    let service = Service::start();
    let client = &mut service.client().await;
    assert_eq!(get(client, "/healthz").await.status, 200);
    assert_eq!(get(client, "/readyz").await.status, 200);
}

#[tokio::test]
async fn an_unknown_path_is_404() {
    let service = Service::start();
    let client = &mut service.client().await;
    for path in
        ["/", "/events", "/events/1", "/events/1/rsvp/", "/events/1/2/rsvp", "//", "/users/1"]
    {
        assert_problem(&get(client, path).await, 404, None);
    }
}

#[tokio::test]
async fn a_wrong_method_is_405_and_names_the_right_ones() {
    let service = Service::start();
    let client = &mut service.client().await;
    for (method, path, allowed) in [
        (Method::GET, "/events/1/rsvp", "POST,DELETE"),
        (Method::PUT, "/events/1/rsvp", "POST,DELETE"),
        (Method::POST, "/events/1/rsvp_count", "GET,HEAD"),
        (Method::POST, "/events/1/users/2", "GET,HEAD,PUT,DELETE"),
        (Method::POST, "/healthz", "GET,HEAD"),
    ] {
        let answer = client.send(method, path, &[]).await.unwrap();
        assert_problem(&answer, 405, None);
        assert_eq!(answer.headers["allow"], allowed, "{path}");
    }
}
