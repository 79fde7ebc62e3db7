//! Deadlines, and clients that hang up.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use axum::body::Body;
use axum::http::Method;
use rsvp::Operation;
use rsvp_axum::Config;
use serde_json::json;
use tokio::time::timeout;

use crate::calls::{Answer, api, api_of, get, post, send};
use crate::probe::Probe;

const SOON: Duration = Duration::from_millis(10);

#[tokio::test(start_paused = true)]
async fn the_deadline_of_the_client_is_that_of_the_call() {
    let (store, probe) = Probe::slow(Duration::ZERO);
    let config = Config::default().with_longest_call(Duration::from_secs(20));
    let routes = api_of(store, config).router();
    let user = ("x-user-id", "1");
    for (asked, given) in [
        (None, 20_000),
        (Some("2"), 2000),
        (Some("250ms"), 250),
        (Some("1.5s"), 1500),
        (Some("60"), 20_000),
    ] {
        let headers: Vec<_> =
            asked.map(|time| ("request-timeout", time)).into_iter().chain([user]).collect();
        for (method, path) in [
            (Method::POST, "/events/1/rsvp"),
            (Method::DELETE, "/events/1/users/1"),
            (Method::GET, "/events/1/users/1"),
            (Method::GET, "/events/1/rsvp_count"),
            (Method::GET, "/users/1/events"),
        ] {
            send(&routes, method, path, &headers, Body::empty()).await;
            let (_, left) = probe.seen.lock().unwrap().pop().unwrap();
            assert_eq!(left, Some(Duration::from_millis(given)), "{asked:?} {path}");
        }
        post(&routes, "/rsvp_counts", &headers, &json!({"event_ids": ["1"]})).await;
        let seen = probe.seen.lock().unwrap().pop();
        assert_eq!(seen, Some((Operation::RsvpCount, Some(Duration::from_millis(given)))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_time_is_up_is_not_done() {
    let (store, _) = Probe::slow(SOON);
    let routes = api_of(store, Config::default()).router();
    let headers = [("x-user-id", "1"), ("request-timeout", "1ms")];
    let late = send(&routes, Method::POST, "/events/1/rsvp", &headers, Body::empty()).await;
    assert_eq!((late.status.as_u16(), late.json["effect"].as_str()), (504, Some("not_applied")));
    assert_eq!(get(&routes, "/events/1/rsvp_count").await.json["count"], 0);
}

#[tokio::test]
async fn a_wrong_time_is_400_and_named() {
    let routes = api(Config::default()).router();
    for wrong in ["", "soon", "-1", "1e3", "1 s", "inf"] {
        let headers = [("request-timeout", wrong)];
        let answer = send(&routes, Method::GET, "/events/1/users/1", &headers, Body::empty()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json["field"].as_str()),
            (400, Some("request_timeout"))
        );
    }
}

#[tokio::test]
async fn the_header_is_of_the_hosts_choice() {
    let (store, probe) = Probe::slow(Duration::ZERO);
    let header = "x-envoy-expected-rq-timeout-ms";
    let config = Config::default().with_timeout_header(header.parse().unwrap());
    let routes = api_of(store, config).router();
    send(&routes, Method::GET, "/events/1/users/1", &[(header, "300")], Body::empty()).await;
    let (_, left) = probe.seen.lock().unwrap().pop().unwrap();
    assert!(left.unwrap() <= Duration::from_millis(300), "{left:?}");
}

/// A request whose client hangs up while the store works, and the calls that were finished.
async fn hung_up(method: Method, path: &str) -> usize {
    let (store, probe) = Probe::slow(Duration::from_secs(1));
    let api = api_of(store, Config::default());
    let routes = api.router();
    let headers = [("x-user-id", "1")];
    let request = send(&routes, method, path, &headers, Body::empty());
    assert!(timeout(SOON, request).await.is_err());
    assert_eq!(probe.begun.load(SeqCst), 1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    probe.finished.load(SeqCst)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_hangs_up_cancels_its_read() {
    for path in ["/events/1/users/1", "/events/1/rsvp_count", "/events/1/users", "/readyz"] {
        assert_eq!(hung_up(Method::GET, path).await, 0, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_hangs_up_does_not_cancel_its_write() {
    for (method, path) in [
        (Method::POST, "/events/1/rsvp"),
        (Method::DELETE, "/events/1/rsvp"),
        (Method::PUT, "/events/1/users/1"),
        (Method::DELETE, "/events/1/users/1"),
    ] {
        assert_eq!(hung_up(method, path).await, 1, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn long_lists_take_turns_and_short_ones_do_not_wait() {
    let (store, probe) = Probe::slow(Duration::from_secs(1));
    let routes = api_of(store, Config::default().with_long_lists_at_once(1)).router();
    let list = async |limit: usize, timeout: &str| {
        let begin = tokio::time::Instant::now();
        let path = format!("/events/1/users?limit={limit}");
        let headers = [("request-timeout", timeout)];
        let answer = send(&routes, Method::GET, &path, &headers, Body::empty()).await;
        (answer.status.as_u16(), begin.elapsed().as_millis())
    };
    let (first, second, hasty, short) =
        tokio::join!(list(1001, "9"), list(10_000, "9"), list(10_000, "0.5"), list(1000, "9"));
    assert_eq!((first, second), ((200, 1000), (200, 2000)));
    assert_eq!((hasty, short), ((503, 500), (200, 1000)));
    assert_eq!(probe.begun.load(SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_tell_whether_it_is_ready_is_not() {
    let (store, _) = Probe::slow(Duration::from_secs(3600));
    let routes = api_of(store, Config::default()).router();
    let ready: Answer = get(&routes, "/readyz").await;
    assert_eq!(ready.status, 504);
}

#[tokio::test]
async fn an_instance_that_drains_is_not_ready_and_still_serves() {
    let api = api(Config::default());
    let routes = api.router();
    assert_eq!(get(&routes, "/readyz").await.status, 200);
    api.drain();
    let ready = get(&routes, "/readyz").await;
    assert_eq!((ready.status.as_u16(), ready.header("retry-after")), (503, Some("1")));
    assert_eq!(get(&routes, "/healthz").await.status, 200);
    assert_eq!(get(&routes, "/events/1/rsvp_count").await.status, 200);
}
