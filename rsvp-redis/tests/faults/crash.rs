//! A server that is killed and comes back has kept the writes that its settings promise to keep.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{open, random, repair};
use rand::Rng;
use rsvp_redis::{Durability, RedisStore};
use rsvp_testkit::ledger::{Writers, check, crash_under_writers, lost};
use rsvp_testkit::servers::{Persistence, RedisServer};
use tokio::time::sleep;

const CRASHES: usize = 21;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_over_twenty_crashes_with_appendfsync_always() {
    let mut random = random();
    let server = RedisServer::builder().persistence(Persistence::Always).start().await;
    let store = open(&server.url()).await;
    assert_eq!(store.durability(), Durability::Always);
    let shared = Arc::new(store.clone());
    let ledger = crash_under_writers(shared, CRASHES, &mut random, || server.restart()).await;
    check(&store, &ledger).await;
    assert_whole(&store).await;
}

/// Nothing is promoted meanwhile, so that whatever a node had acknowledged must come back with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_when_the_nodes_of_a_cluster_come_back() {
    let mut random = random();
    let nodes = RedisServer::builder().setting("cluster-replica-no-failover", "yes");
    let cluster = nodes.persistence(Persistence::Always).start_cluster().await;
    let store = open(&cluster.url()).await;
    assert_eq!(store.durability(), Durability::Always);
    let writers = Writers::start(Arc::new(store.clone()), 12, &mut random);
    for node in cluster.primaries().await {
        writers.acknowledge(50).await;
        sleep(Duration::from_millis(random.random_range(0..200))).await;
        node.kill().await;
        sleep(Duration::from_millis(random.random_range(0..200))).await;
        node.start_again().await;
        cluster.wait_healthy().await;
        writers.acknowledge(50).await;
    }
    let (acknowledged, gap) = (writers.acknowledged(), writers.longest_gap());
    let ledger = writers.stop().await;
    println!("{acknowledged} writes acknowledged over 3 crashes, {gap:?} without any");
    // Writers who gave a failed write up may have left one direction without the other.
    repair(&store).await;
    check(&store, &ledger).await;
}

/// How much may be lost is the server's affair, so it is printed and not asserted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_appendfsync_everysec_a_store_goes_on_after_each_crash() {
    const CRASHES: usize = 5;
    let mut random = random();
    let server = RedisServer::builder().persistence(Persistence::EverySecond).start().await;
    let store = open(&server.url()).await;
    assert_eq!(store.durability(), Durability::EverySecond);
    let (mut total, mut acknowledged) = (0, 0);
    for crash in 1..=CRASHES {
        // New writers on an empty server each time, so that each loss is measured by itself.
        server.flush().await;
        let writers = Writers::start_forgiving(Arc::new(store.clone()), 12, &mut random);
        writers.acknowledge(1).await;
        sleep(Duration::from_millis(random.random_range(0..1_500))).await;
        server.kill().await;
        acknowledged += writers.acknowledged();
        let ledger = writers.stop().await;
        server.start_again().await;
        let lost = lost(&store, &ledger).await;
        total += lost;
        println!("crash {crash}: {lost} of {} known pairs differ", ledger.known());
        assert_whole(&store).await;
    }
    println!("{acknowledged} writes acknowledged over {CRASHES} crashes, {total} pairs lost");
}

/// On one server both directions change together, and are lost together.
async fn assert_whole(store: &RedisStore) {
    assert_eq!(repair(store).await.findings, []);
}
