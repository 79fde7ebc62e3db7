//! Two servers that say they are the primary: the store uses the one that was promoted last.

use std::error::Error as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{both, config, event, eventually, open, user};
use rsvp_core::{Effect, Outcome, RsvpStoreExt};
use rsvp_redis::RedisStore;
use rsvp_testkit::servers::{Persistence, RedisServer, ReplicatedRedis};

/// The hosts of a pair, in both orders.
fn orders(pair: &ReplicatedRedis) -> [String; 2] {
    let [first, second] = [pair.primary().port(), pair.replica().port()];
    [
        format!("redis://127.0.0.1:{first},127.0.0.1:{second}"),
        format!("redis://127.0.0.1:{second},127.0.0.1:{first}"),
    ]
}

/// Both agree that only the promoted server is written to.
async fn assert_uses_the_promoted(pair: &ReplicatedRedis, urls: &[String]) {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    for url in urls {
        let fresh = open(url).await;
        assert!(fresh.has_rsvped(&user(1), &event(1)).await.unwrap(), "a strong read");
        let own = user(format!("fresh{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        assert_eq!(fresh.rsvp(&own, &event(1)).await.unwrap().outcome, Outcome::Applied);
        let key = "rsvp:e:{0:1}";
        let held = pair.primary().command(&["SISMEMBER", key, own.as_str()]).await;
        assert_eq!(held, "1", "{url}");
        let held = pair.replica().command(&["SISMEMBER", key, own.as_str()]).await;
        assert_eq!(held, "0", "what is written there will be wiped: {url}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_store_does_not_take_a_primary_that_was_replaced_and_comes_back() {
    let pair = ReplicatedRedis::start().await;
    let urls = orders(&pair);
    let store = open(&urls[0]).await;
    store.rsvp(&user(0), &event(1)).await.unwrap();
    pair.wait_caught_up().await;
    pair.primary().kill().await;
    pair.promote().await;
    eventually("the promoted server", async || store.rsvp(&user(1), &event(1)).await.is_ok()).await;
    pair.replica().start_again().await;
    assert_uses_the_promoted(&pair, &urls).await;
    // Nor does it after another restart.
    pair.replica().restart().await;
    assert_uses_the_promoted(&pair, &urls).await;
    assert_eq!(store.rsvp_count(&event(1)).await.unwrap().value, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_needs_to_have_met_the_promoted_primary() {
    let pair = ReplicatedRedis::start().await;
    let urls = orders(&pair);
    let store = open(&urls[0]).await;
    store.rsvp(&user(1), &event(1)).await.unwrap();
    pair.wait_caught_up().await;
    drop(store);
    pair.primary().kill().await;
    pair.promote().await;
    pair.replica().start_again().await;
    assert_uses_the_promoted(&pair, &urls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_leaves_a_primary_that_was_replaced_and_that_nobody_stops() {
    let pair = ReplicatedRedis::start().await;
    let urls = orders(&pair);
    let store = open(&urls[0]).await;
    store.rsvp(&user(1), &event(1)).await.unwrap();
    pair.wait_caught_up().await;
    pair.promote().await;
    let promoted = open(&pair.primary().url()).await;
    promoted.rsvp(&user("new"), &event(1)).await.unwrap();
    eventually("the store to find the promoted server", async || {
        store.has_rsvped(&user("new"), &event(1)).await.unwrap()
    })
    .await;
    assert_uses_the_promoted(&pair, &urls).await;
    // It stays there, although the other one still answers as a primary.
    for round in 0..50 {
        store.rsvp(&user(round), &event(2)).await.unwrap();
        assert!(promoted.has_rsvped(&user(round), &event(2)).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_primaries_that_nothing_tells_apart_are_refused() {
    let (one, other) = (RedisServer::start().await, RedisServer::start().await);
    let url = format!("redis://127.0.0.1:{},127.0.0.1:{}", one.port(), other.port());
    let error = RedisStore::open(config(&url)).await.unwrap_err();
    assert!(error.is_retryable() && error.effect() == Effect::NotApplied, "{error:?}");
    let source = error.source().unwrap().to_string();
    assert!(source.contains("two of the hosts are primaries"), "{source}");
    other.command(&["REPLICAOF", "127.0.0.1", &one.port().to_string()]).await;
    eventually("the dispute to end", async || RedisStore::open(config(&url)).await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_is_restarted_in_place_stays_the_primary() {
    let pair = ReplicatedRedis::start().await;
    let store = open(&both(&pair)).await;
    for round in 0..3 {
        pair.primary().restart().await;
        eventually("the server to be back", async || {
            store.rsvp(&user(round), &event(1)).await.is_ok()
        })
        .await;
    }
    assert_eq!(open(&both(&pair)).await.rsvp_count(&event(1)).await.unwrap().value, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_restarts_as_a_primary_does_not_replace_the_live_one() {
    let builder = || RedisServer::builder().persistence(Persistence::None);
    let (live, replica) = (builder().start().await, builder().start().await);
    let (live_port, replica_port) = (live.port().to_string(), replica.port().to_string());
    replica.command(&["REPLICAOF", "127.0.0.1", &live_port]).await;
    let urls = [
        format!("redis://127.0.0.1:{live_port},127.0.0.1:{replica_port}"),
        format!("redis://127.0.0.1:{replica_port},127.0.0.1:{live_port}"),
    ];
    let store = open(&urls[0]).await;
    store.rsvp(&user(1), &event(1)).await.unwrap();
    eventually("the replica to follow", async || {
        replica.command(&["SISMEMBER", "rsvp:e:{0:1}", "1"]).await == "1"
    })
    .await;
    replica.command(&["SAVE"]).await;
    replica.restart().await;
    assert!(replica.command(&["INFO", "replication"]).await.contains("role:master"));
    for url in &urls {
        let fresh = open(url).await;
        let own = user(format!("to{}", url.len()));
        fresh.rsvp(&own, &event(2)).await.unwrap();
        assert!(fresh.has_rsvped(&user(1), &event(1)).await.unwrap());
        assert_eq!(replica.command(&["EXISTS", "rsvp:e:{0:2}"]).await, "0", "{url}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promoted_primary_that_restarts_empty_is_used_again() {
    let pair = RedisServer::builder().persistence(Persistence::None).start_replicated().await;
    let store = open(&both(&pair)).await;
    store.rsvp(&user(1), &event(1)).await.unwrap();
    pair.wait_caught_up().await;
    pair.primary().kill().await;
    pair.promote().await;
    eventually("the promoted server", async || store.rsvp(&user(2), &event(1)).await.is_ok()).await;
    pair.primary().restart().await;
    eventually("the same server", async || store.rsvp(&user(3), &event(1)).await.is_ok()).await;
}
