//! The service, in this process, over stores that fail or take their time.

use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use metrics_exporter_prometheus::PrometheusBuilder;
use rsvp::{Effect, Error, EventId, Operation, RsvpStoreExt, UserId};
use rsvp_http_api::check::Client;
use rsvp_http_api::{App, serve};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::stub::Stub;

struct Running {
    address: String,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<std::io::Result<()>>,
}

async fn start(store: Arc<Stub>) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let app = App::new(store, PrometheusBuilder::new().build_recorder().handle());
    let (stop, stopped) = oneshot::channel();
    let ended = tokio::spawn(async move {
        let stopped = async { stopped.await.unwrap() };
        let (idle, grace) = (Duration::from_secs(5), Duration::from_secs(5));
        serve(listener, app, idle, grace, stopped).await
    });
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

#[tokio::test]
async fn every_kind_of_failure_has_its_status() {
    let write = Operation::Write;
    let driver = || std::io::Error::other("connection to 10.1.2.3 refused");
    for (error, status, field) in [
        (Error::overloaded(write), 503, None),
        (Error::unavailable(write, Effect::Unknown, Some(driver().into())), 503, None),
        (Error::timed_out(write, Duration::from_secs(1), Effect::Unknown), 504, None),
        (Error::corrupt(write, "a negative count"), 500, None),
        (Error::backend(write, Effect::Unknown, true, driver()), 500, None),
        (Error::invalid_input("cursor", "is malformed"), 400, Some("cursor")),
    ] {
        let running = start(Arc::new(Stub::failing(error.clone()))).await;
        let mut client = Client::connect(&running.address).await.unwrap();
        for (method, path) in requests() {
            let answer = client.send(method, path, &[("X-User-Id", b"1")]).await.unwrap();
            assert_eq!(answer.status, status, "{path}: {answer:?}");
            assert_eq!(answer.headers["content-type"], "application/problem+json");
            let retry_after = answer.headers.get("retry-after").map(|value| value.as_bytes());
            assert_eq!(retry_after, (status == 503).then_some(b"1".as_slice()), "{path}");
            assert_eq!(answer.json["detail"], error.to_string());
            assert_eq!(answer.json["field"].as_str(), field);
            assert!(!answer.json.to_string().contains("10.1.2.3"), "sources stay inside");
        }
        let alive = client.send(Method::GET, "/healthz", &[]).await.unwrap();
        assert_eq!(alive.status, 200, "a failing store does not make the service restart");
    }
}

#[tokio::test]
async fn a_write_whose_client_hangs_up_is_finished_before_the_service_ends() {
    let store = Arc::new(Stub::slow(Duration::from_millis(300)));
    let running = start(Arc::clone(&store)).await;
    let mut client = Client::connect(&running.address).await.unwrap();
    let pause = Duration::from_millis(100);
    let headers: [(&str, &[u8]); 1] = [("X-User-Id", b"1")];
    let rsvp = client.send(Method::POST, "/events/1/rsvp", &headers);
    assert!(tokio::time::timeout(pause, rsvp).await.is_err(), "the store is slow");
    drop(client);

    // The service sees the connection go while the store still works on the write.
    tokio::time::sleep(pause).await;
    let (user, event) = (UserId::from(1), EventId::from(1));
    assert!(!store.inner().has_rsvped(&user, &event).await.unwrap());
    running.stop.send(()).unwrap();
    running.ended.await.unwrap().unwrap();
    assert!(store.inner().has_rsvped(&user, &event).await.unwrap());
}
