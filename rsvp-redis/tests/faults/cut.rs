//! Connections that are cut between a write and its answer.

use std::sync::Arc;

use crate::support::{open, random, repair};
use rsvp_redis::RedisStore;
use rsvp_testkit::ledger::{Writers, check};
use rsvp_testkit::servers::{RedisCluster, RedisServer};

const CUTS: usize = 100;

/// A write that may have been done is not sent again: its outcome would be another one.
async fn cut_connections(store: &RedisStore, servers: &[&RedisServer]) {
    let mut random = random();
    let writers = Writers::start(Arc::new(store.clone()), 12, &mut random);
    let mut cut = 0;
    for _ in 0..CUTS {
        for server in servers {
            let killed = server.command(&["CLIENT", "KILL", "TYPE", "normal"]).await;
            cut += killed.parse::<u64>().unwrap();
        }
        writers.acknowledge(1).await;
    }
    println!(
        "{} writes acknowledged while {cut} connections were cut, {:?} without any",
        writers.acknowledged(),
        writers.longest_gap()
    );
    assert!(cut >= CUTS as u64, "only {cut} connections were cut");
    let ledger = writers.stop().await;
    // Writers who gave a failed write up may have left one direction without the other.
    repair(store).await;
    check(store, &ledger).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outcomes_stay_right_while_connections_are_cut() {
    let server = RedisServer::start().await;
    cut_connections(&open(&server.url()).await, &[&server]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outcomes_stay_right_while_connections_to_a_cluster_are_cut() {
    let cluster = RedisCluster::start().await;
    let store = open(&cluster.url()).await;
    cut_connections(&store, &cluster.primaries().await).await;
}
