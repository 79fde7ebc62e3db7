//! A pair of servers: the store uses the one that is the primary, also after a failover.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{assert_repairable, both, event, held, open, random, user};
use rsvp_core::{Effect, Error, Rsvp, RsvpStore, RsvpStoreExt};
use rsvp_testkit::ledger::{Writers, check, lost};
use rsvp_testkit::servers::ReplicatedRedis;
use tokio::time::{Instant, sleep};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_with_both_hosts_goes_on_after_switchovers_and_failovers() {
    let mut random = random();
    let pair = ReplicatedRedis::start().await;
    let store = open(&both(&pair)).await;
    // Writes to the old primary after the promotion are lost with it.
    let writers = Writers::start_forgiving(Arc::new(store.clone()), 12, &mut random);
    for round in 1..=6 {
        writers.acknowledge(50).await;
        writers.longest_gap();
        let how = if round % 2 == 1 { "switch" } else { "fail" };
        match how {
            "switch" => pair.switch_over().await,
            _ => pair.fail_over().await,
        }
        writers.acknowledge(50).await;
        println!("{how}over {round}: {:?} without any", writers.longest_gap());
        store.ready().await.unwrap();
    }
    let acknowledged = writers.acknowledged();
    let ledger = writers.stop().await;
    let (lost, known) = (lost(&store, &ledger).await, ledger.known());
    println!("{acknowledged} writes acknowledged, {lost} of {known} known pairs lost");
    assert_repairable(&store, &ledger).await;
}

/// The number of failovers of the test with `wait_replicas`. Defaults to 3.
const FAILOVERS: &str = "RSVP_FAILOVERS";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_write_that_the_promoted_replica_was_waited_for_is_lost() {
    let failovers: usize = std::env::var(FAILOVERS).map_or(3, |number| number.parse().unwrap());
    let mut random = random();
    let pair = ReplicatedRedis::start().await;
    let url = format!("{}?wait_replicas=1&wait_timeout=1s", both(&pair));
    let store = open(&url).await;
    // Each writer repeats what failed, and compares the outcomes with what was acknowledged.
    let writers = Writers::start(Arc::new(store.clone()), 12, &mut random);
    let mut gaps = Vec::new();
    for failover in 1..=failovers {
        writers.acknowledge(50).await;
        writers.longest_gap();
        pair.fail_over().await;
        writers.acknowledge(50).await;
        gaps.push(writers.longest_gap());
        println!("failover {failover}: {:?} without an acknowledged write", gaps.last().unwrap());
    }
    let acknowledged = writers.acknowledged();
    let ledger = writers.stop().await;
    gaps.sort();
    let (median, longest) = (gaps[gaps.len() / 2], gaps[gaps.len() - 1]);
    println!("{acknowledged} writes acknowledged; gaps: median {median:?}, longest {longest:?}");
    check(&store, &ledger).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_only_reads_leaves_a_demoted_primary() {
    let pair = ReplicatedRedis::start().await;
    let reader = open(&both(&pair)).await;
    for round in 0..4 {
        let (user, event) = (user(round), event("e"));
        assert!(!reader.has_rsvped(&user, &event).await.unwrap());
        pair.switch_over().await;
        // Let nothing come to it by replication.
        pair.replica().command(&["REPLICAOF", "127.0.0.1", "1"]).await;
        open(&pair.primary().url()).await.rsvp(&user, &event).await.unwrap();
        let written = Instant::now();
        while !reader.has_rsvped(&user, &event).await.unwrap() {
            assert!(written.elapsed() < Duration::from_millis(600), "it is stale for too long");
            sleep(Duration::from_millis(1)).await;
        }
        println!("stale for {:?}", written.elapsed());
        pair.rebuild_replica().await;
    }
}

#[tokio::test]
async fn ready_fails_while_the_only_known_server_is_a_replica() {
    let pair = ReplicatedRedis::start().await;
    let store = open(&pair.primary().url()).await;
    for _ in 0..3 {
        store.ready().await.unwrap();
        store.rsvp(&user(1), &event(1)).await.unwrap();
        pair.switch_over().await;
        for _ in 0..3 {
            let error = store.ready().await.unwrap_err();
            assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
            assert_eq!(error.effect(), Effect::NotApplied);
            let error = store.rsvp(&user(2), &event(1)).await.unwrap_err();
            assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
            assert_eq!(error.effect(), Effect::NotApplied);
        }
        pair.switch_over().await;
        store.ready().await.unwrap();
        let pairs = [user(1), user(2)].map(|user| Rsvp::new(user, event(1)));
        assert_eq!(held(&store, &pairs).await.unwrap(), [true, false]);
    }
}
