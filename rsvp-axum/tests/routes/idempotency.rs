//! Repeated requests with an `Idempotency-Key`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Method;
use rsvp::layers::{Call, Layer, LayerExt};
use rsvp::{Effect, Error, MemoryStore, Operation, RsvpStore};
use rsvp_axum::{Config, Idempotency, PathUsers};
use serde_json::json;
use tokio::time::advance;

use crate::calls::{Answer, api_of, as_user, post, routes, send};
use crate::probe::Probe;

async fn rsvp(routes: &Router, user: &str, event: &str, key: &str) -> Answer {
    let headers = [("x-user-id", user), ("idempotency-key", key)];
    send(routes, Method::POST, &format!("/events/{event}/rsvp"), &headers, Body::empty()).await
}

fn replayed(answer: &Answer) -> bool {
    answer.header("idempotency-replayed") == Some("true")
}

#[tokio::test]
async fn a_repetition_is_answered_as_the_first_request_was() {
    let routes = routes(Config::default());
    let first = rsvp(&routes, "1", "101a", "k").await;
    assert_eq!((first.status.as_u16(), replayed(&first)), (201, false));
    as_user(&routes, "1", Method::DELETE, "/events/101a/rsvp").await;
    let second = rsvp(&routes, "1", "101a", "k").await;
    assert_eq!((second.status.as_u16(), replayed(&second)), (201, true));
    assert_eq!(second.json, first.json);
    assert_eq!(second.header("rsvp-session"), first.header("rsvp-session"));
    let state = crate::calls::get(&routes, "/events/101a/users/1").await;
    assert_eq!(state.json["rsvped"], false, "a repetition that comes late does nothing");
    assert_eq!(rsvp(&routes, "1", "101a", "other").await.status, 201);
}

#[tokio::test]
async fn a_key_is_of_one_user_and_one_request() {
    let routes = routes(Config::default());
    rsvp(&routes, "1", "101a", "k").await;
    assert!(!replayed(&rsvp(&routes, "2", "101a", "k").await), "of another user");
    let reused = rsvp(&routes, "1", "102", "k").await;
    assert_eq!(
        (reused.status.as_u16(), reused.json["field"].as_str()),
        (409, Some("idempotency_key"))
    );
    assert_eq!(reused.header("retry-after"), None, "waiting does not help");
    for wrong in ["", "a b", "é", &"k".repeat(256)] {
        assert_eq!(rsvp(&routes, "1", "101a", wrong).await.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn batches_have_keys_too() {
    let routes = routes(Config::default().with_path_users(PathUsers::GatewayDecides));
    let batch = |user| json!({"writes": [{"action": "rsvp", "event_id": "1", "user_id": user}]});
    let key = [("idempotency-key", "k")];
    for expected in [false, true] {
        let answer = post(&routes, "/writes", &key, &batch("1")).await;
        assert_eq!(answer.json["results"][0]["outcome"], "applied");
        assert_eq!(replayed(&answer), expected);
    }
    assert_eq!(post(&routes, "/writes", &key, &batch("2")).await.status, 409);
}

#[tokio::test]
async fn a_failure_is_not_kept() {
    let down = Error::unavailable(Operation::Write, Effect::Unknown, None);
    let (store, _) = Probe::failing(vec![down]);
    let routes = api_of(store, Config::default()).router();
    assert_eq!(rsvp(&routes, "1", "101a", "k").await.status, 503);
    assert_eq!(rsvp(&routes, "1", "101a", "k").await.status, 201);
}

#[tokio::test(start_paused = true)]
async fn a_repetition_during_the_request_is_told_to_wait() {
    let (store, probe) = Probe::slow(Duration::from_secs(1));
    let routes = api_of(store, Config::default()).router();
    let first = rsvp(&routes, "1", "101a", "k");
    let second = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        rsvp(&routes, "1", "101a", "k").await
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (201, 409));
    assert_eq!(second.header("retry-after"), Some("1"));
    assert_eq!(probe.begun.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_a_client_that_hung_up_is_there_for_its_repetition() {
    let (store, probe) = Probe::slow(Duration::from_secs(1));
    let api = api_of(store, Config::default());
    let routes = api.router();
    let first = tokio::time::timeout(Duration::from_millis(1), rsvp(&routes, "1", "101a", "k"));
    assert!(first.await.is_err());
    api.close().await.unwrap();
    let second = rsvp(&routes, "1", "101a", "k").await;
    assert_eq!((second.status.as_u16(), replayed(&second)), (201, true));
    assert_eq!(probe.finished.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn answers_are_bounded_in_time_number_and_bytes() {
    let day = Duration::from_secs(86_400);
    let (time, number, bytes) = (
        Idempotency::default().with_time(Duration::from_secs(60)),
        Idempotency::default().with_time(day).with_answers(2),
        Idempotency::default().with_time(day).with_bytes(3000),
    );
    let routes_of = |idempotency| routes(Config::default().with_idempotency(idempotency));
    let routes = routes_of(time);
    rsvp(&routes, "1", "1", "k").await;
    advance(Duration::from_secs(59)).await;
    assert!(replayed(&rsvp(&routes, "1", "1", "k").await));
    advance(Duration::from_secs(1)).await;
    assert!(!replayed(&rsvp(&routes, "1", "1", "k").await));

    for routes in [routes_of(number), routes_of(bytes)] {
        for key in ["a", "b", "c"] {
            rsvp(&routes, "1", "1", key).await;
        }
        assert!(replayed(&rsvp(&routes, "1", "1", "c").await));
        assert!(!replayed(&rsvp(&routes, "1", "1", "a").await), "the oldest went first");
    }
}

/// A shard that is away, with all events whose names begin with an `x`.
#[derive(Clone, Debug)]
struct Away(Arc<AtomicBool>);

impl Layer for Away {
    async fn call<C: Call, S: RsvpStore>(&self, call: C, store: &S) -> rsvp::Result<C::Answer> {
        let is_here = |place: &usize| {
            !self.0.load(SeqCst)
                || call.event(*place).is_none_or(|id| !id.as_str().starts_with('x'))
        };
        let here: Vec<usize> = (0..call.entries()).filter(is_here).collect();
        let error = Error::unavailable(call.operation(), Effect::NotApplied, None);
        let answer = call.part(&here).run(store).await?;
        Ok(C::widen(answer, &here, call.entries(), &error))
    }
}

#[tokio::test]
async fn a_batch_of_which_an_entry_failed_is_done_again() {
    let away = Away(Arc::new(AtomicBool::new(true)));
    let store = MemoryStore::new().with_layer(away.clone());
    let routes = api_of(Arc::new(store), Config::default()).router();
    let batch = json!({"writes": [
        {"action": "rsvp", "event_id": "1", "user_id": "1"},
        {"action": "rsvp", "event_id": "x", "user_id": "1"},
    ]});
    let headers = [("x-user-id", "1"), ("idempotency-key", "k")];
    let first = post(&routes, "/writes", &headers, &batch).await;
    assert_eq!(first.json["results"][1]["problem"]["status"], 503, "{first:?}");
    away.0.store(false, SeqCst);
    let second = post(&routes, "/writes", &headers, &batch).await;
    assert!(!replayed(&second));
    assert_eq!(second.json["results"][1]["outcome"], "applied", "{second:?}");
    assert!(replayed(&post(&routes, "/writes", &headers, &batch).await));
}

#[tokio::test]
async fn a_replayed_answer_has_the_token_of_the_request_too() {
    let routes = routes(Config::default());
    rsvp(&routes, "1", "101a", "k").await;
    let headers = [("x-user-id", "1"), ("idempotency-key", "k"), ("rsvp-session", "r1.a-5")];
    let path = "/events/101a/rsvp";
    let again = send(&routes, Method::POST, path, &headers, Body::empty()).await;
    assert!(replayed(&again));
    assert_eq!(again.header("rsvp-session"), Some("r1.a-5"));
}
