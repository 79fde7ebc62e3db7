//! Legal ids survive, and illegal ones are refused by name.

use hyper::Method;
use serde_json::json;

use crate::raw;
use crate::service::{Service, assert_problem, get, rsvp, segment};
use rsvp_load::check::Client;

/// Wrong segments of a path.
const WRONG: [&str; 10] =
    ["%", "%4", "%zz", "%+1", "a%2", "%FF", "%C3", "a%00", "line%0Abreak", "%C2%85"];

fn hostile_ids() -> Vec<String> {
    let mut ids: Vec<String> = [
        "/",
        "a/b",
        "..",
        ".",
        "%",
        "%2F",
        "100%zz",
        "+",
        "a+b",
        "a b",
        "?",
        "#",
        "a&b=c",
        ";",
        ":",
        "*",
        "{}",
        "{event_id}",
        "\"",
        "'",
        "\\",
        "' OR 1=1 --",
        "<script>",
        "🎉",
        "👩‍👩‍👧",
        "שלום",
        "\u{202e}rtl",
        "é",
        "e\u{301}",
        "İ",
        "CASE",
        "case",
        "\u{feff}",
        "users",
        "rsvp",
        "null",
        "0",
    ]
    .map(str::to_owned)
    .into();
    ids.push("a".repeat(255));
    ids.push("🎉".repeat(63) + "abc");
    ids
}

#[tokio::test]
async fn every_legal_id_survives_paths_headers_and_lists() {
    let service = Service::start();
    let client = &mut service.client().await;
    let ids = hostile_ids();
    for id in &ids {
        let answer = rsvp(client, id, id).await;
        let body = json!({"event_id": id, "user_id": id, "outcome": "applied"});
        assert_eq!((answer.status.as_u16(), &answer.json), (201, &body));
        rsvp(client, "everybody", id).await;
    }
    for id in &ids {
        let path = format!("/events/{}/users/{}", segment(id), segment(id));
        let body = json!({"event_id": id, "user_id": id, "rsvped": true});
        assert_eq!(get(client, &path).await.json, body);
        let count = get(client, &format!("/events/{}/rsvp_count", segment(id))).await;
        assert_eq!(count.json, json!({"event_id": id, "count": 1, "age_ms": 0}));
        let users = get(client, &format!("/events/{}/users", segment(id))).await;
        assert_eq!(users.json["items"], json!([id]));
        let events = get(client, &format!("/users/{}/events", segment(id))).await;
        assert_eq!(sorted(&events.json["items"]), sorted(&json!([id, "everybody"])));
    }
    let users = get(client, "/events/everybody/users").await;
    assert_eq!(sorted(&users.json["items"]), sorted(&json!(ids)));
}

fn sorted(items: &serde_json::Value) -> Vec<String> {
    let mut items: Vec<String> = serde_json::from_value(items.clone()).unwrap();
    items.sort();
    items
}

#[tokio::test]
async fn spaces_around_an_id_count_in_a_path() {
    let service = Service::start();
    let client = &mut service.client().await;
    assert_eq!(rsvp(client, " x ", "1").await.json["event_id"], " x ");
    assert_eq!(get(client, "/events/x/rsvp_count").await.json["count"], 0);
    assert_eq!(get(client, "/events/%20x%20/rsvp_count").await.json["count"], 1);
}

#[tokio::test]
async fn an_id_may_be_spelled_without_escapes() {
    let service = Service::start();
    let client = &mut service.client().await;
    for (raw, id) in [("a+b", "a+b"), ("..", ".."), ("%41b", "Ab"), ("%c3%a9", "é")] {
        let count = get(client, &format!("/events/{raw}/rsvp_count")).await;
        assert_eq!(count.json["event_id"], id);
    }
    let request = "GET /events/🎉/rsvp_count HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let answer = raw::exchange(&service.address, request).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"🎉\""), "{answer}");
}

#[tokio::test]
async fn a_wrong_event_id_is_400_and_named() {
    let service = Service::start();
    let client = &mut service.client().await;
    let long = "a".repeat(256);
    for wrong in WRONG.into_iter().chain([long.as_str(), ""]) {
        for path in ["rsvp_count", "users", "users/1"] {
            let answer = get(client, &format!("/events/{wrong}/{path}")).await;
            assert_problem(&answer, 400, Some("event_id"));
        }
        for method in [Method::POST, Method::DELETE] {
            let path = format!("/events/{wrong}/rsvp");
            let answer = client.send(method, &path, &[("X-User-Id", b"1")]).await.unwrap();
            assert_problem(&answer, 400, Some("event_id"));
        }
    }
}

#[tokio::test]
async fn a_wrong_user_id_in_a_path_is_400_and_named() {
    let service = Service::start();
    let client = &mut service.client().await;
    let long = "é".repeat(128);
    for wrong in WRONG.into_iter().chain([segment(&long).as_str(), ""]) {
        for path in [format!("/events/1/users/{wrong}"), format!("/users/{wrong}/events")] {
            assert_problem(&get(client, &path).await, 400, Some("user_id"));
        }
    }
}

#[tokio::test]
async fn a_wrong_user_id_in_the_header_is_400_and_named() {
    let service = Service::start();
    let client = &mut service.client().await;
    let long = "a".repeat(256);
    let wrong: [&[u8]; 7] =
        [b"", b" ", b"\xff", b"\xc3", b"a\tb", "a\u{85}".as_bytes(), long.as_bytes()];
    for user in wrong {
        assert_problem(&write_as(client, &[("X-User-Id", user)]).await, 400, Some("user_id"));
    }
    assert_problem(&write_as(client, &[]).await, 400, Some("user_id"));
    assert_eq!(get(client, "/events/1/rsvp_count").await.json["count"], 0);
}

#[tokio::test]
async fn two_user_ids_in_headers_are_400_even_if_they_are_the_same() {
    let service = Service::start();
    let client = &mut service.client().await;
    for second in [b"1", b"2"] {
        let headers: [(&str, &[u8]); 2] = [("X-User-Id", b"1"), ("x-user-id", second)];
        assert_problem(&write_as(client, &headers).await, 400, Some("user_id"));
    }
}

async fn write_as(client: &mut Client, headers: &[(&str, &[u8])]) -> rsvp_load::check::Answer {
    client.send(Method::POST, "/events/1/rsvp", headers).await.unwrap()
}

#[tokio::test]
async fn control_bytes_in_a_header_are_400() {
    let service = Service::start();
    for control in ["\0", "\x07", "\x7f"] {
        let request =
            format!("POST /events/1/rsvp HTTP/1.1\r\nHost: h\r\nX-User-Id: a{control}\r\n\r\n");
        let answer = raw::exchange(&service.address, request).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{control:?}: {answer}");
    }
}
