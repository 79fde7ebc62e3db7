//! A server that goes away and comes back: callers learn of it at once, and use it again.

use std::time::Duration;

use crate::support::calls::{
    CONNECTIONS, HALF_A_SECOND, IMPATIENT, SLACK, assert_all_well, assert_unavailable, calls, store,
};
use crate::support::{event, eventually, user};
use futures_util::FutureExt;
use futures_util::future::join_all;
use rsvp_core::{Effect, Error, Result, RsvpStore, RsvpStoreExt};
use rsvp_redis::RedisStore;
use rsvp_testkit::servers::{Proxy, RedisServer};
use tokio::task::{JoinSet, yield_now};
use tokio::time::Instant;

/// On a single thread: the kernel has closed them, and tasks that wait for that run before us.
async fn closed_connections_are_noticed() {
    for _ in 0..10 {
        yield_now().await;
    }
}

#[tokio::test]
async fn a_server_that_was_restarted_while_nobody_called_is_not_noticed() {
    let server = RedisServer::start().await;
    let store = store(server.port(), "").await;
    for at in 0..calls(&store).len() {
        assert_all_well(&store).await;
        server.restart().await;
        closed_connections_are_noticed().await;
        let (operation, call) = calls(&store).swap_remove(at);
        call.await.unwrap_or_else(|error| panic!("{operation}: {error:?}"));
    }
    assert!(store.has_rsvped(&user(1), &event(1)).await.unwrap());
}

#[tokio::test]
async fn a_server_that_is_down_is_said_to_be_so_at_once() {
    let server = RedisServer::start().await;
    let store = store(server.port(), "connect_timeout=50s&response_timeout=50s").await;
    assert_all_well(&store).await;
    server.kill().await;
    closed_connections_are_noticed().await;
    for (_, call) in calls(&store) {
        let begin = Instant::now();
        assert_unavailable(call.await);
        assert!(begin.elapsed() < SLACK, "{:?}", begin.elapsed());
    }
    server.start_again().await;
    assert_all_well(&store).await;
}

/// A thousand callers, who all come back in time; their errors.
async fn a_thousand_callers(store: &RedisStore, bound: Duration) -> Vec<Error> {
    let begin = Instant::now();
    let mut callers = JoinSet::new();
    for n in 0..1000_u64 {
        let store = store.clone();
        callers.spawn(async move {
            match n % 2 {
                0 => store.rsvp(&user(n), &event(2)).await.map(drop),
                _ => store.has_rsvped(&user(n), &event(2)).await.map(drop),
            }
        });
    }
    let answers = callers.join_all().await;
    assert!(begin.elapsed() < bound + SLACK, "{:?}", begin.elapsed());
    answers.into_iter().map(Result::unwrap_err).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_callers_find_out_together() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let store = store(proxy.port(), IMPATIENT).await;
    assert_all_well(&store).await;

    // On connections that look alive.
    proxy.stall().await;
    let errors = a_thousand_callers(&store, 2 * HALF_A_SECOND).await;
    assert!(errors.iter().all(Error::is_retryable), "{errors:?}");
    // Connections are accepted and nothing is ever said.
    let before = proxy.accepted();
    let errors = a_thousand_callers(&store, HALF_A_SECOND).await;
    errors.into_iter().for_each(|error| assert_unavailable(Err(error)));
    let attempts = proxy.accepted() - before;
    assert!(attempts <= 2 * CONNECTIONS, "{attempts} connections for callers who came together");
    // Connections are refused.
    proxy.refuse().await;
    let errors = a_thousand_callers(&store, Duration::ZERO).await;
    errors.into_iter().for_each(|error| assert_unavailable(Err(error)));

    proxy.resume().await;
    assert_all_well(&store).await;
    eventually("closed connections to go", async || proxy.open() <= CONNECTIONS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_call_more_than_may_be_under_way_is_refused_at_once() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let store = store(proxy.port(), "max_in_flight=4&response_timeout=50s").await;
    proxy.stall().await;
    let pair = (user(1), event(1));
    let mut writes = Vec::new();
    for _ in 0..4 {
        let mut write = store.rsvp(&pair.0, &pair.1).boxed();
        assert!((&mut write).now_or_never().is_none(), "it is under way");
        writes.push(write);
    }
    for (operation, call) in calls(&store) {
        let error = call.now_or_never().expect("at once").unwrap_err();
        assert!(matches!(&error, Error::Overloaded { operation: of, .. } if *of == operation));
        assert_eq!((error.effect(), error.is_retryable()), (Effect::NotApplied, true));
    }
    // A write whose caller goes away keeps its place until it is done.
    drop(writes.pop());
    let error = store.ready().now_or_never().unwrap().unwrap_err();
    assert!(matches!(error, Error::Overloaded { .. }), "{error:?}");
    proxy.resume().await;
    for answer in join_all(writes).await {
        answer.unwrap();
    }
    eventually("the write without a caller", async || {
        let calls = (0..4).map(|_| store.ready());
        join_all(calls).await.iter().all(Result::is_ok)
    })
    .await;
}
