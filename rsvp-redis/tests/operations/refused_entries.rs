//! An entry that the server refuses fails alone.

use crate::support::raw::Raw;
use crate::support::{event, open, prefix, repair, user};
use futures_util::TryStreamExt;
use redis::cmd;
use rsvp_core::{
    Effect, Outcome, ReadOptions, Result, Rsvp, RsvpStore, RsvpStoreExt, Write, WriteOptions,
    Written,
};
use rsvp_redis::RedisStore;
use rsvp_testkit::servers::{RedisCluster, RedisServer};

const EVENTS: usize = 20;
const USERS: usize = 30;
/// The event, and the user, whose keys hold something else.
const STRANGE: usize = 7;

async fn results(store: &RedisStore, batch: &[Write]) -> Vec<Result<Written>> {
    store.write_batch(batch, &WriteOptions::default()).await.unwrap().results
}

/// Every user to every event.
fn batch() -> Vec<Write> {
    let pairs = (0..EVENTS).flat_map(|event| (0..USERS).map(move |user| (event, user)));
    pairs.map(|(of, number)| Write::rsvp(user(number), event(of))).collect()
}

async fn a_strange_event_fails_alone(raw: Raw, url: String) {
    let prefix = prefix();
    let store = open(&format!("{url}?prefix={prefix}")).await;
    let key = format!("{prefix}:e:{{0:{STRANGE}}}");
    let () = raw.ask(cmd("SET").arg(&key).arg("something else")).await;
    for (write, result) in batch().iter().zip(results(&store, &batch()).await) {
        if write.rsvp.event != event(STRANGE) {
            assert_eq!(result.unwrap().outcome, Outcome::Applied, "{write:?}");
            continue;
        }
        let error = result.unwrap_err();
        assert_eq!(error.effect(), Effect::NotApplied, "{write:?}: {error:?}");
        assert!(!error.is_retryable(), "{error:?}");
    }
    // Reads of other events likewise.
    let pairs: Vec<Rsvp> = batch().into_iter().map(|write| write.rsvp).collect();
    let held = store.has_rsvped_batch(&pairs, &ReadOptions::strong()).await.unwrap();
    for (pair, held) in pairs.iter().zip(held) {
        assert_eq!(held.ok(), (pair.event != event(STRANGE)).then_some(true), "{pair:?}");
    }
    let events: Vec<_> = (0..EVENTS).map(event).collect();
    let counts = store.rsvp_count_batch(&events, &ReadOptions::strong()).await.unwrap();
    let failed = counts.iter().filter(|count| count.is_err()).count();
    assert_eq!(failed, 1, "{counts:?}");
    // No list has an event that refused the RSVP.
    let listed: Vec<_> = store.events_of(&user(1)).try_collect().await.unwrap();
    assert_eq!(listed.len(), EVENTS - 1, "{listed:?}");
    let _: u64 = raw.ask(cmd("DEL").arg(&key)).await;
    assert_eq!(repair(&store).await.findings, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_one_server_an_event_whose_key_holds_something_else_fails_alone() {
    let server = RedisServer::shared().await;
    a_strange_event_fails_alone(Raw::servers(&[server]).await, server.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_cluster_an_event_whose_key_holds_something_else_fails_alone() {
    let cluster = RedisCluster::shared().await;
    a_strange_event_fails_alone(Raw::cluster(cluster).await, cluster.url()).await;
}

/// The RSVP of such a user holds and is in no list, which is not a success.
async fn a_strange_user_fails_alone(raw: Raw, url: String) {
    let prefix = prefix();
    let store = open(&format!("{url}?prefix={prefix}")).await;
    let key = format!("{prefix}:u:{{{STRANGE}}}");
    let () = raw.ask(cmd("SET").arg(&key).arg("something else")).await;
    for (write, result) in batch().iter().zip(results(&store, &batch()).await) {
        if write.rsvp.user != user(STRANGE) {
            assert_eq!(result.unwrap().outcome, Outcome::Applied, "{write:?}");
            continue;
        }
        let error = result.unwrap_err();
        assert_eq!(error.effect(), Effect::Unknown, "{write:?}: {error:?}");
        assert!(!error.is_retryable(), "{error:?}");
    }
    // Once it can be written, the same calls complete the list.
    let _: u64 = raw.ask(cmd("DEL").arg(&key)).await;
    for result in results(&store, &batch()).await {
        assert_eq!(result.unwrap().outcome, Outcome::Unchanged);
    }
    let listed: Vec<_> = store.events_of(&user(STRANGE)).try_collect().await.unwrap();
    assert_eq!(listed.len(), EVENTS);
    assert_eq!(repair(&store).await.findings, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_one_server_a_user_whose_key_holds_something_else_fails_alone() {
    let server = RedisServer::shared().await;
    a_strange_user_fails_alone(Raw::servers(&[server]).await, server.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_cluster_a_user_whose_key_holds_something_else_fails_alone() {
    let cluster = RedisCluster::shared().await;
    a_strange_user_fails_alone(Raw::cluster(cluster).await, cluster.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_memory_refuses_rsvps_and_takes_the_cancels_among_them() {
    let server = RedisServer::start().await;
    let store = open(&server.url()).await;
    let before: Vec<Write> = (0..100).map(|n| Write::rsvp(user(n), event(n % 3))).collect();
    assert!(results(&store, &before).await.iter().all(Result::is_ok));
    server.command(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let change = |n: usize| match n % 2 {
        0 => Write::cancel(user(n), event(n % 3)),
        _ => Write::rsvp(user(n + 1000), event(n % 3)),
    };
    let batch: Vec<Write> = (0..100).map(change).collect();
    for (n, result) in results(&store, &batch).await.into_iter().enumerate() {
        if n % 2 == 0 {
            assert_eq!(result.unwrap().outcome, Outcome::Applied, "a cancel");
        } else {
            let error = result.unwrap_err();
            assert_eq!(error.effect(), Effect::NotApplied, "{error:?}");
            assert!(error.is_retryable(), "memory may be freed: {error:?}");
        }
    }
    server.command(&["CONFIG", "SET", "maxmemory", "0"]).await;
    assert_eq!(repair(&store).await.findings, []);
    let counts: u64 = crate::support::counts(&store, &[event(0), event(1), event(2)])
        .await
        .unwrap()
        .into_iter()
        .sum();
    assert_eq!(counts, 50);
}
