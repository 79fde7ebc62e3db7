//! A call waits for a silent server no longer than configured, and capacity comes back.

use std::time::Duration;

use futures_util::future::join_all;
use rsvp_core::{Effect, Error, Operation, ReadOptions, RsvpStore, RsvpStoreExt};
use rsvp_postgres::{PostgresConfig, PostgresStore};
use rsvp_testkit::servers::{PostgresServer, Proxy};
use rsvp_testkit::{PendingCall, every_call};
use tokio::time::Instant;

use crate::support::{
    assert_counts_are_exact, assert_full_capacity, config, event, eventually, open, through, user,
};

const POOL: usize = 3;
/// The wait for a connection, the statement's timeout, and a second for the server to report it.
const BOUND: Duration = Duration::from_millis(500 + 500 + 1000);
/// The time that a busy machine may add.
const SLACK: Duration = Duration::from_secs(2);

fn impatient(url: &str) -> PostgresConfig {
    let half_a_second = Duration::from_millis(500);
    config(url)
        .with_pool_size(POOL)
        .with_acquire_timeout(half_a_second)
        .with_connect_timeout(half_a_second)
        .with_statement_timeout(half_a_second)
}

/// Every call of the trait except `close`.
fn calls(store: &PostgresStore) -> Vec<PendingCall<'_>> {
    let mut calls = every_call(store, None);
    calls.retain(|(operation, _)| *operation != Operation::Close);
    calls
}

/// One call after another, each on a pool whose connections all look alive.
async fn assert_bounded((operation, call): PendingCall<'_>) {
    let begin = Instant::now();
    let error = call.await.unwrap_err();
    assert!(begin.elapsed() < BOUND + SLACK, "{operation} took {:?}", begin.elapsed());
    assert!(error.is_retryable(), "{error:?}");
    if let Error::TimedOut { operation: of, effect, .. } = &error {
        assert_eq!(*of, operation);
        // A write cannot be stopped, and says so.
        let sent = matches!(effect, Effect::Pending(_));
        assert_eq!(sent, operation.is_write(), "{error:?}");
    } else {
        assert_eq!(error.effect(), Effect::NotApplied, "no connection was had: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_is_bounded_when_the_network_falls_silent() {
    let server = PostgresServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let store = open(impatient(&through(proxy.port()))).await;
    for at in 0..calls(&store).len() {
        assert_full_capacity(&store, POOL).await;
        proxy.stall().await;
        assert_bounded(calls(&store).swap_remove(at)).await;
        // No connection is left that looks alive, and none can be made.
        assert_bounded(calls(&store).swap_remove(at)).await;
        proxy.cut().await;
        proxy.resume().await;
    }
    assert_full_capacity(&store, POOL).await;
    assert_counts_are_exact(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_server_is_given_up_and_found_again() {
    let server = PostgresServer::start().await;
    let store = open(impatient(&server.url("postgres"))).await;
    assert_full_capacity(&store, POOL).await;
    server.pause().await;
    let begin = Instant::now();
    let waiting = calls(&store).into_iter().map(|(_, call)| call);
    let answers = join_all(waiting).await;
    assert!(answers.iter().all(Result::is_err), "{answers:?}");
    // Calls that waited for a connection may have tried to open one in their turn.
    assert!(begin.elapsed() < BOUND + 2 * SLACK, "{:?}", begin.elapsed());
    server.resume().await;
    eventually("the server to answer", async || store.ready().await.is_ok()).await;
    assert_full_capacity(&store, POOL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_is_replaced() {
    let server = PostgresServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let store = open(impatient(&through(proxy.port()))).await;
    for _ in 0..10 {
        assert_full_capacity(&store, POOL).await;
        proxy.cut().await;
        // The first failure closes the idle connections, too, and its call runs again on a new one.
        store.ready().await.unwrap();
    }
    proxy.refuse().await;
    let error = store.rsvp(&user(1), &event(1)).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    proxy.resume().await;
    assert_full_capacity(&store, POOL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_callers_than_connections_are_served_or_refused_in_time() {
    let server = PostgresServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let store = open(impatient(&through(proxy.port()))).await;
    proxy.set_delay(Duration::from_millis(50));
    let begin = Instant::now();
    let callers = (0..100_u32).map(|n| {
        let store = store.clone();
        async move { store.rsvp(&user(n), &event(1)).await }
    });
    let answers = join_all(callers).await;
    assert!(begin.elapsed() < BOUND + SLACK, "{:?}", begin.elapsed());
    let served = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!(served >= POOL, "{served} served");
    assert!(served < answers.len(), "some had to be refused");
    for error in answers.into_iter().filter_map(Result::err) {
        assert!(matches!(error, Error::Overloaded { .. }), "{error:?}");
    }
    proxy.set_delay(Duration::ZERO);
    let count = store.rsvp_count_with(&event(1), ReadOptions::strong()).await.unwrap();
    assert_eq!(count.value, served as u64, "a refused write has no effect");
}
