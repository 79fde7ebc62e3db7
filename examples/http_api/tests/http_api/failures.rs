//! The service, in this process, over stores that fail or take their time.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use hyper::Method;
use rsvp::layers::{LayerExt, RetryConfig};
use rsvp::{Deadline, Effect, Error, EventId, Operation, RsvpStore, UserId};
use rsvp_axum::{Api, App, Config, ServeError, Server, ServerConfig, Stop};
use rsvp_load::check::Client;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::service;
use crate::stub::{failing, losing_an_answer, slow};

struct Running {
    address: String,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), ServeError>>,
}

async fn start(store: Arc<dyn RsvpStore>) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let api = Api::new(store, Config::default());
    let (stop, stopped) = oneshot::channel();
    let stopped = Stop::on(stream::once(async { stopped.await.unwrap() }));
    let config = ServerConfig::default().with_drain(Duration::ZERO);
    let server = Server::new(listener, config);
    let ended = tokio::spawn(server.run(async { Ok(App::new(api)) }, stopped));
    Running { address, stop, ended }
}

fn requests() -> [(Method, &'static str); 7] {
    [
        (Method::POST, "/events/1/rsvp"),
        (Method::DELETE, "/events/1/rsvp"),
        (Method::GET, "/events/1/rsvp_count"),
        (Method::GET, "/events/1/users/1"),
        (Method::GET, "/events/1/users"),
        (Method::GET, "/users/1/events"),
        (Method::GET, "/readyz"),
    ]
}

/// What a client is told: nothing that is only for operators.
fn detail(error: &Error) -> String {
    match error {
        Error::Corrupt { .. } => "write found corrupt data, which needs repair".to_owned(),
        Error::InvalidInput { .. } => rsvp::Cursor::refused().to_string(),
        error => error.to_string(),
    }
}

#[tokio::test]
async fn every_kind_of_failure_has_its_status() {
    let write = Operation::Write;
    let driver = || std::io::Error::other("connection to 10.1.2.3 refused");
    for (error, status, field) in [
        (Error::overloaded(write), 503, None),
        (Error::closed(write), 503, None),
        (Error::unavailable(write, Effect::Unknown, Some(driver().into())), 503, None),
        (Error::timed_out(write, Duration::from_secs(1), Effect::Unknown), 504, None),
        (Error::corrupt(write, "in shard \"eu1\", a negative count"), 500, None),
        (Error::backend(write, Effect::Unknown, true, driver()), 503, None),
        (Error::backend(write, Effect::Unknown, false, driver()), 500, None),
        (Error::invalid_input("cursor", "is malformed").in_shard("eu1"), 400, Some("cursor")),
    ] {
        let running = start(Arc::new(failing(error.clone()))).await;
        let mut client = Client::connect(&running.address).await.unwrap();
        for (method, path) in requests() {
            let answer = client.send(method, path, &[("X-User-Id", b"1")]).await.unwrap();
            assert_eq!(answer.status, status, "{path}: {answer:?}");
            assert_eq!(answer.headers["content-type"], "application/problem+json");
            let retry_after = answer.headers.get("retry-after").map(|value| value.as_bytes());
            let repeats = matches!(status, 503 | 504);
            assert_eq!(retry_after, repeats.then_some(b"1".as_slice()), "{path}");
            assert_eq!(answer.json["detail"], detail(&error));
            assert_eq!(answer.json["field"].as_str(), field);
            let effect = error.operation().map(|_| error.effect().as_str());
            assert_eq!(answer.json["effect"].as_str(), effect);
            assert!(answer.json.get("retry_after").is_none(), "nothing is pending");
            let text = answer.json.to_string();
            assert!(!text.contains("10.1.2.3") && !text.contains("eu1"), "internals stay inside");
        }
        let alive = client.send(Method::GET, "/healthz", &[]).await.unwrap();
        assert_eq!(alive.status, 200, "a failing store does not make the service restart");
    }
}

#[tokio::test]
async fn a_write_whose_client_hangs_up_is_finished_before_the_service_ends() {
    let store = Arc::new(slow(Duration::from_millis(300)));
    let running = start(store.clone()).await;
    let mut client = Client::connect(&running.address).await.unwrap();
    let pause = Duration::from_millis(100);
    let headers: [(&str, &[u8]); 1] = [("X-User-Id", b"1")];
    let rsvp = client.send(Method::POST, "/events/1/rsvp", &headers);
    assert!(tokio::time::timeout(pause, rsvp).await.is_err(), "the store is slow");
    drop(client);

    // The service sees the connection go while the store still works on the write.
    tokio::time::sleep(pause).await;
    let (user, event) = (UserId::from(1), EventId::from(1));
    assert!(!store.get_ref().table().has_rsvped(&user, &event));
    running.stop.send(()).unwrap();
    running.ended.await.unwrap().unwrap();
    assert!(store.get_ref().table().has_rsvped(&user, &event));
}

#[tokio::test]
async fn a_write_whose_effect_is_pending_says_when_it_is_decided() {
    let until = Deadline::after(Duration::from_secs(100));
    let pending =
        Error::timed_out(Operation::Write, Duration::from_secs(1), Effect::Pending(until));
    let running = start(Arc::new(failing(pending))).await;
    let mut client = Client::connect(&running.address).await.unwrap();
    let answer = service::rsvp(&mut client, "1", "1").await;
    service::assert_problem(&answer, 504, None);
    assert_eq!(answer.json["effect"], "pending");
    let seconds = answer.json["retry_after"].as_u64().unwrap();
    assert!((60..=100).contains(&seconds), "{answer:?}");
    assert_eq!(answer.headers["retry-after"], seconds.to_string());
    let detail = answer.json["detail"].as_str().unwrap();
    assert!(detail.contains("it may still take effect within "), "{detail}");
}

#[tokio::test]
async fn a_write_that_the_store_has_repeated_says_so() {
    let store = losing_an_answer().with_retry(RetryConfig::default()).unwrap();
    let running = start(Arc::new(store)).await;
    let mut client = Client::connect(&running.address).await.unwrap();
    let first = service::rsvp(&mut client, "101a", "1").await;
    let body = json!({
        "event_id": "101a", "user_id": "1", "outcome": "unchanged", "repeated": true
    });
    assert_eq!((first.status.as_u16(), first.json), (200, body));
    let second = service::cancel(&mut client, "101a", "1").await;
    let body = json!({"event_id": "101a", "user_id": "1", "outcome": "applied"});
    assert_eq!((second.status.as_u16(), second.json), (200, body));
}

#[tokio::test]
async fn the_store_is_closed_after_the_last_request() {
    let store = Arc::new(slow(Duration::ZERO));
    let running = start(store.clone()).await;
    let mut client = Client::connect(&running.address).await.unwrap();
    assert_eq!(service::rsvp(&mut client, "1", "1").await.status, 201);
    store.ready().await.unwrap();
    running.stop.send(()).unwrap();
    running.ended.await.unwrap().unwrap();
    let closed = store.ready().await.unwrap_err();
    assert!(matches!(closed, Error::Closed { .. }), "{closed}");
}
