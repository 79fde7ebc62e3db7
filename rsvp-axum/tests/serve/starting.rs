//! A server that starts before its store.

use std::cell::Cell;
use std::future::pending;
use std::time::Duration;

use rsvp::{Effect, Error, Operation};
use rsvp_axum::{ServeError, ServerConfig, wait_for};
use tokio::time::{Instant, sleep};

use crate::clients::{HEALTH, Running, app, head, request, send};

#[tokio::test(start_paused = true)]
async fn it_is_alive_and_not_ready_until_the_store_is_open() {
    let running = Running::opening(ServerConfig::default(), async {
        sleep(Duration::from_secs(5)).await;
        Ok(app())
    });
    let running = running.await;
    let mut probe = running.connect().await;
    send(&mut probe, HEALTH).await;
    assert!(head(&mut probe).await.unwrap().starts_with("HTTP/1.1 200 "));
    for path in ["/readyz", "/events/1/rsvp_count"] {
        let mut client = running.connect().await;
        send(&mut client, request(path)).await;
        let answer = head(&mut client).await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 1"),
            "{answer}"
        );
    }
    sleep(Duration::from_secs(5)).await;
    send(&mut probe, request("/readyz")).await;
    assert!(head(&mut probe).await.unwrap().starts_with("HTTP/1.1 200 "), "on the same connection");
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_the_error_of_the_store() {
    let wrong = async { Err(Error::invalid_input("url", "has no scheme")) };
    let running = Running::opening(ServerConfig::default(), wrong).await;
    let error = running.ended.await.unwrap().unwrap_err();
    assert!(matches!(error, ServeError::Open(Error::InvalidInput { .. })), "{error}");
}

#[tokio::test(start_paused = true)]
async fn it_ends_at_once_if_it_is_stopped_before() {
    let running = Running::opening(ServerConfig::default(), pending()).await;
    let begin = Instant::now();
    running.stop();
    running.ended.await.unwrap().unwrap();
    assert_eq!(begin.elapsed(), Duration::ZERO);
}

fn down() -> Error {
    Error::unavailable(Operation::Open, Effect::NotApplied, None)
}

#[tokio::test(start_paused = true)]
async fn a_store_that_starts_later_is_waited_for() {
    let begin = Instant::now();
    let starts_at = begin + Duration::from_secs(30);
    let open = async || if Instant::now() < starts_at { Err(down()) } else { Ok(()) };
    wait_for(Duration::from_secs(60), open).await.unwrap();
    assert!((30..33).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn waiting_has_an_end() {
    for limit in [Duration::ZERO, Duration::from_secs(7)] {
        let (begin, attempts) = (Instant::now(), Cell::new(0));
        let open = async || {
            attempts.set(attempts.get() + 1);
            Err::<(), _>(down())
        };
        let error = wait_for(limit, open).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error}");
        assert!(begin.elapsed() <= limit);
        assert_eq!(attempts.get() == 1, limit.is_zero(), "{attempts:?}");
    }
    let begin = Instant::now();
    let error = wait_for(Duration::from_secs(7), pending::<rsvp::Result<()>>).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    assert_eq!(begin.elapsed().as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_url_is_not_waited_for() {
    let begin = Instant::now();
    let open = async || Err::<(), _>(Error::invalid_input("url", "has no scheme"));
    let error = wait_for(Duration::from_secs(60), open).await.unwrap_err();
    assert!(matches!(error, Error::InvalidInput { .. }), "{error}");
    assert_eq!(begin.elapsed(), Duration::ZERO);
}
