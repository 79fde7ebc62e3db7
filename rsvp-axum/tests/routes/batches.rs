//! Batches.

use axum::body::Body;
use axum::http::Method;
use rsvp::{Effect, Error, Operation};
use rsvp_axum::{Config, PathUsers};
use serde_json::{Value, json};

use crate::calls::{api_of, get, post, routes, send};
use crate::probe::Probe;

fn write(action: &str, event: &str, user: &str) -> Value {
    json!({"action": action, "event_id": event, "user_id": user})
}

#[tokio::test]
async fn every_write_has_its_own_result() {
    let routes = routes(Config::default().with_path_users(PathUsers::GatewayDecides));
    let writes = [
        write("rsvp", "101a", "1"),
        write("rsvp", "101a", "1"),
        write("rsvp", "", "1"),
        write("rsvp", "101a", "a\nb"),
        write("cancel", "101a", "1"),
        write("rsvp", "102", "José 🎉"),
    ];
    let answer = post(&routes, "/writes", &[], &json!({"writes": writes})).await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("rsvp-session").is_some());
    let results = answer.json["results"].as_array().unwrap();
    let outcomes: Vec<_> = results.iter().map(|result| result["outcome"].as_str()).collect();
    let (applied, unchanged) = (Some("applied"), Some("unchanged"));
    assert_eq!(outcomes, [applied, unchanged, None, None, applied, applied]);
    assert_eq!(results[2]["problem"]["field"], "event_id");
    assert_eq!(results[3]["problem"]["field"], "user_id");
    assert_eq!(results[3]["problem"]["status"], 400);
    assert_eq!(results[5]["user_id"], "José 🎉");
    assert!(results[5].get("problem").is_none());

    let pairs = json!({"pairs": [
        {"event_id": "102", "user_id": "José 🎉"},
        {"event_id": "x".repeat(256), "user_id": "1"},
        {"event_id": "101a", "user_id": "1"},
    ]});
    let answer = post(&routes, "/memberships", &[], &pairs).await;
    let rsvped: Vec<_> = (0..3).map(|n| answer.json["results"][n]["rsvped"].as_bool()).collect();
    assert_eq!(rsvped, [Some(true), None, Some(false)]);
    assert_eq!(answer.json["results"][1]["problem"]["field"], "event_id");

    let events = json!({"event_ids": ["102", "", "101a"]});
    let answer = post(&routes, "/rsvp_counts", &[], &events).await;
    let expected = json!({"event_id": "102", "count": 1, "age_ms": 0});
    assert_eq!(answer.json["results"][0], expected);
    assert_eq!(answer.json["results"][1]["problem"]["field"], "event_id");
    assert_eq!(answer.json["results"][2]["count"], 0);
}

#[tokio::test]
async fn a_user_writes_for_nobody_else_in_a_batch() {
    let routes = routes(Config::default());
    let batch = json!({"writes": [write("rsvp", "1", "a"), write("rsvp", "1", "b")]});
    let answer = post(&routes, "/writes", &[("x-user-id", "a")], &batch).await;
    assert_eq!(answer.json["results"][0]["outcome"], "applied");
    assert_eq!(answer.json["results"][1]["problem"]["status"], 403);
    assert_eq!(post(&routes, "/writes", &[], &batch).await.status, 400);
    assert_eq!(get(&routes, "/events/1/users/b").await.json["rsvped"], false);
}

#[tokio::test]
async fn a_batch_has_the_stated_maximum() {
    let routes = routes(Config::default().with_max_batch(3));
    for (size, status) in [(0, 400), (1, 200), (3, 200), (4, 400)] {
        let events = json!({"event_ids": vec!["1"; size]});
        let answer = post(&routes, "/rsvp_counts", &[], &events).await;
        assert_eq!(answer.status, status, "{size}");
        if status == 400 {
            assert_eq!(answer.json["field"], "event_ids");
        }
    }
    let large = json!({"event_ids": ["x".repeat(4000)]});
    assert_eq!(post(&routes, "/rsvp_counts", &[], &large).await.status, 413);
}

#[tokio::test]
async fn what_is_no_batch_is_refused() {
    let routes = routes(Config::default());
    for (body, media_type, status) in [
        ("{\"event_ids\":[1]}", "application/json", 400),
        ("{\"event_ids\":null}", "application/json", 400),
        ("{", "application/json", 400),
        ("", "application/json; charset=utf-8", 400),
        ("{\"event_ids\":[\"1\"]}", "text/plain", 415),
    ] {
        let headers = [("content-type", media_type)];
        let answer = send(&routes, Method::POST, "/rsvp_counts", &headers, Body::from(body)).await;
        assert_eq!(answer.status, status, "{body}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
}

#[tokio::test]
async fn a_batch_that_fails_as_a_whole_is_one_problem() {
    let down = Error::unavailable(Operation::Write, Effect::Unknown, None);
    let (store, _) = Probe::failing(vec![down]);
    let config = Config::default().with_path_users(PathUsers::GatewayDecides);
    let routes = api_of(store, config).router();
    let batch = json!({"writes": [write("rsvp", "1", "a")]});
    let answer = post(&routes, "/writes", &[], &batch).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, Some("1")));
    assert_eq!(answer.json["effect"], "unknown");
}

/// A body that is still to come.
fn endless() -> Body {
    Body::from_stream(futures_util::stream::pending::<Result<&[u8], std::io::Error>>())
}

#[tokio::test(start_paused = true)]
async fn the_batches_in_memory_are_bounded() {
    let routes = routes(Config::default().with_batches_at_once(2));
    let headers = [("content-type", "application/json")];
    let send = || send(&routes, Method::POST, "/rsvp_counts", &headers, endless());
    let (first, second, third) = tokio::join!(send(), send(), send());
    assert_eq!(third.status, 503);
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (408, 408));
    assert_eq!(send().await.status, 408, "the places are free again");
}

#[tokio::test(start_paused = true)]
async fn clients_that_send_no_body_hold_up_no_small_batch() {
    let routes = routes(Config::default().with_batches_at_once(2));
    let json = [("content-type", "application/json")];
    let silent: Vec<_> = (0..2)
        .map(|_| {
            let routes = routes.clone();
            tokio::spawn(async move {
                send(&routes, Method::POST, "/rsvp_counts", &json, endless()).await
            })
        })
        .collect();
    tokio::task::yield_now().await;
    let batch = json!({"event_ids": ["1"]});
    assert_eq!(post(&routes, "/rsvp_counts", &[], &batch).await.status, 200);
    let large = send(&routes, Method::POST, "/rsvp_counts", &json, endless()).await;
    assert_eq!(large.status, 503, "large ones take turns");
    for silent in silent {
        assert_eq!(silent.await.unwrap().status, 408);
    }
}
