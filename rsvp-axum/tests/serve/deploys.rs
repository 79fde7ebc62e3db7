//! How a server ends.

use std::time::Duration;

use rsvp_axum::{ServeError, ServerConfig};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::clients::{HEALTH, Running, head, request, rest, send};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn all_requests_are_served_during_the_drain() {
    let running = Running::start(ServerConfig::default()).await;
    let mut pooled = running.connect().await;
    send(&mut pooled, HEALTH).await;
    let answer = head(&mut pooled).await.unwrap();
    assert!(!answer.to_lowercase().contains("connection: close"), "{answer}");
    let begin = Instant::now();
    running.stop();
    sleep(4 * SECOND).await;

    let mut new = running.connect().await;
    send(&mut new, request("/readyz")).await;
    let answer = rest(&mut new).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    for mut stream in [pooled, running.connect().await] {
        send(&mut stream, HEALTH).await;
        let answer = rest(&mut stream).await.to_lowercase();
        assert!(answer.starts_with("http/1.1 200 "), "{answer}");
        assert!(answer.contains("connection: close"), "the next request goes elsewhere: {answer}");
    }

    running.ended.await.unwrap().unwrap();
    assert_eq!(begin.elapsed().as_secs(), 5);
    assert!(TcpStream::connect(&running.address).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn requests_in_flight_are_finished_after_the_drain() {
    let running = Running::start(ServerConfig::default()).await;
    let mut busy = running.connect().await;
    send(&mut busy, request("/slow")).await;
    sleep(SECOND).await;
    running.stop();
    let answer = rest(&mut busy).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("slow"), "{answer}");
    running.ended.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn connections_that_wait_for_their_clients_do_not_hold_the_end_up() {
    let running = Running::start(ServerConfig::default().with_drain(Duration::ZERO)).await;
    let mut silent = running.connect().await;
    let mut idle = running.connect().await;
    send(&mut idle, HEALTH).await;
    head(&mut idle).await.unwrap();
    let begin = Instant::now();
    running.stop();
    running.ended.await.unwrap().unwrap();
    assert_eq!(begin.elapsed(), Duration::ZERO);
    assert_eq!((rest(&mut silent).await, head(&mut idle).await), (String::new(), None));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_takes_too_long_is_given_up() {
    let running = Running::start(ServerConfig::default().with_shutdown(3 * SECOND)).await;
    let mut busy = running.connect().await;
    send(&mut busy, request("/slow")).await;
    sleep(SECOND).await;
    let begin = Instant::now();
    running.stop();
    let error = running.ended.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "requests were still in flight after 3s");
    assert_eq!(begin.elapsed().as_secs(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_ends_it_at_once() {
    for pause in [SECOND, 7 * SECOND] {
        let running = Running::start(ServerConfig::default()).await;
        let mut busy = running.connect().await;
        send(&mut busy, request("/slow")).await;
        sleep(SECOND).await;
        running.stop();
        sleep(pause).await;
        let begin = Instant::now();
        running.stop();
        let error = running.ended.await.unwrap().unwrap_err();
        assert!(matches!(error, ServeError::Interrupted), "{error}");
        assert_eq!(begin.elapsed(), Duration::ZERO);
    }
}
