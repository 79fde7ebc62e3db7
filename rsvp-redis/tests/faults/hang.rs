//! A server that falls silent for longer than calls wait, and then goes on where it was.
//!
//! It may then execute calls that timed out long ago and were repeated since.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{event, event_key, eventually, open, random, repair, user};
use futures_util::future::join_all;
use rand::Rng;
use rand::rngs::StdRng;
use rsvp_core::{Error, RsvpStore, RsvpStoreExt};
use rsvp_redis::RedisStore;
use rsvp_testkit::ledger::{Ledger, Writers, check};
use rsvp_testkit::servers::{RedisCluster, RedisServer};
use tokio::time::{Instant, sleep};

const PARAMETERS: &str = "response_timeout=200ms&connect_timeout=200ms";
const HANGS: usize = 8;
/// The delay that a busy machine adds.
const SLACK: Duration = Duration::from_secs(1);

/// Pauses `server` again and again under writers, shorter than a cluster gives a node up after.
async fn hang(store: &RedisStore, server: &RedisServer, random: &mut StdRng) -> Ledger {
    let writers = Writers::start(Arc::new(store.clone()), 12, random);
    for _ in 0..HANGS {
        writers.acknowledge(50).await;
        // Random moments, not waits for anything.
        sleep(Duration::from_millis(random.random_range(0..100))).await;
        server.pause().await;
        sleep(Duration::from_millis(random.random_range(0..800))).await;
        server.resume().await;
        writers.acknowledge(1).await;
    }
    println!(
        "{} writes acknowledged over {HANGS} hangs, {:?} without any",
        writers.acknowledged(),
        writers.longest_gap()
    );
    writers.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_silent_server_does_late_confuses_no_outcome() {
    let mut random = random();
    let server = RedisServer::start().await;
    let store = open(&format!("{}?{PARAMETERS}", server.url())).await;
    let ledger = hang(&store, &server, &mut random).await;
    check(&store, &ledger).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_silent_node_of_a_cluster_does_late_confuses_no_outcome() {
    let mut random = random();
    let cluster = RedisCluster::start().await;
    let store = open(&format!("{}?{PARAMETERS}", cluster.url())).await;
    let node = cluster.primary_of(&event_key(&event(0))).await;
    let ledger = hang(&store, node, &mut random).await;
    cluster.wait_healthy().await;
    // Writers who gave a failed write up may have left one direction without the other.
    repair(&store).await;
    check(&store, &ledger).await;
}

/// More calls than a connection holds ready to be sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_number_of_calls_to_a_silent_server_waits_longer_than_one() {
    // Long beside the time that a busy machine takes to make the calls.
    const ANSWER: Duration = Duration::from_secs(2);
    let server = RedisServer::start().await;
    let store = open(&format!("{}?response_timeout=2s&connect_timeout=2s", server.url())).await;
    store.rsvp(&user(1), &event(1)).await.unwrap();
    server.pause().await;
    let began = Instant::now();
    let (user, event) = (user(1), event(1));
    let calls = (0..4_000).map(|_| store.has_rsvped(&user, &event));
    for answer in join_all(calls).await {
        let error = answer.unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. } | Error::Unavailable { .. }), "{error:?}");
    }
    let took = began.elapsed();
    println!("4000 calls were given up after {took:?}");
    assert!(took < 3 * ANSWER + SLACK, "{took:?}");
    server.resume().await;
    eventually("the server to be used again", async || store.ready().await.is_ok()).await;
    assert!(store.has_rsvped(&user, &event).await.unwrap());
}
