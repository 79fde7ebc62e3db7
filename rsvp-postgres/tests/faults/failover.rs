//! After a failover or a demotion the store uses the new primary.

use std::sync::Arc;
use std::time::Duration;

use rsvp_core::layers::{CoalesceConfig, LayerExt, RetryConfig, TimeoutConfig};
use rsvp_core::{Effect, Error, RsvpStore, RsvpStoreExt};
use rsvp_postgres::migrate;
use rsvp_testkit::ledger::Writers;
use rsvp_testkit::servers::{PostgresServer, ReplicatedPostgres, Replication};

use crate::support::{assert_full_capacity, check, config, event, eventually, open, random, user};

const PROMOTIONS: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_over_five_promotions() {
    let mut random = random();
    let pair = ReplicatedPostgres::builder().replication(Replication::Synchronous).start().await;
    let store = open(config(&pair.url("postgres"))).await;
    let writers = Writers::start(Arc::new(store.clone()), 12, &mut random);
    for promotion in 1..=PROMOTIONS {
        writers.acknowledge(50).await;
        pair.fail_over().await;
        writers.acknowledge(1).await;
        let gap = writers.longest_gap();
        println!("promotion {promotion}: {gap:?} without an acknowledged write");
    }
    let acknowledged = writers.acknowledged();
    let ledger = writers.stop().await;
    println!("{acknowledged} writes acknowledged over {PROMOTIONS} promotions");
    check(&store, &ledger).await;
    assert_full_capacity(&store, 10).await;
}

/// The number of failovers of the test with two standbys. Defaults to 4.
const FAILOVERS: &str = "RSVP_FAILOVERS";

/// Through the layers that the README recommends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_over_failovers_with_two_standbys() {
    let failovers: usize = std::env::var(FAILOVERS).map_or(4, |number| number.parse().unwrap());
    let mut random = random();
    let group = ReplicatedPostgres::builder().replication(Replication::Synchronous).standbys(2);
    let group = group.start().await;
    let store = open(config(&group.url("postgres"))).await;
    let layered = store.clone().with_timeout(TimeoutConfig::new(Duration::from_secs(1))).unwrap();
    let layered = layered.with_retry(RetryConfig::default()).unwrap();
    let layered = layered.with_coalescing(CoalesceConfig::default()).unwrap();
    let writers = Writers::start(Arc::new(layered), 12, &mut random);
    let mut gaps = Vec::new();
    for failover in 1..=failovers {
        writers.acknowledge(50).await;
        group.fail_over().await;
        writers.acknowledge(1).await;
        gaps.push(writers.longest_gap());
        println!("failover {failover}: {:?} without an acknowledged write", gaps.last().unwrap());
    }
    let acknowledged = writers.acknowledged();
    let ledger = writers.stop().await;
    gaps.sort();
    let (median, longest) = (gaps[gaps.len() / 2], gaps[gaps.len() - 1]);
    println!("{acknowledged} writes acknowledged; gaps: median {median:?}, longest {longest:?}");
    check(&store, &ledger).await;
    assert_full_capacity(&store, 10).await;
}

#[tokio::test]
async fn a_demoted_primary_evicts_its_connections() {
    let (first, second) = (PostgresServer::start().await, PostgresServer::start().await);
    migrate(&config(&second.url("postgres"))).await.unwrap();
    let both = format!(
        "postgres://postgres@127.0.0.1:{},127.0.0.1:{}/postgres",
        first.port(),
        second.port()
    );
    let store = open(config(&both)).await;
    let alone = open(config(&first.url("postgres"))).await;
    store.rsvp(&user(1), &event(1)).await.unwrap();
    alone.ready().await.unwrap();

    let demote = "ALTER SYSTEM SET default_transaction_read_only = on";
    first.execute(demote).await;
    first.execute("SELECT pg_reload_conf()").await;
    eventually("the demotion to be known", async || match alone.ready().await {
        Ok(()) => false,
        Err(error) => {
            assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
            assert_eq!(error.effect(), Effect::NotApplied);
            true
        }
    })
    .await;
    assert!(alone.rsvp(&user(2), &event(1)).await.is_err());

    // Each open connection may fail one call. None is used again.
    let mut refused = 0;
    while let Err(error) = store.rsvp(&user(3), &event(1)).await {
        assert_eq!(error.effect(), Effect::NotApplied, "{error:?}");
        assert!(error.is_retryable(), "{error:?}");
        refused += 1;
        assert!(refused <= 10, "{error:?}");
    }
    store.ready().await.unwrap();
    let rows = second.execute("SELECT user_id FROM rsvp.rsvps").await;
    assert_eq!(rows.trim(), "3", "written to the other host");
}

#[tokio::test]
async fn a_fresh_store_finds_the_primary_among_its_hosts() {
    let pair = ReplicatedPostgres::start().await;
    let (primary, standby) = (pair.primary().port(), pair.standby().port());
    for hosts in [[primary, standby], [standby, primary], [1, primary]] {
        let [first, second] = hosts.map(|port| format!("127.0.0.1:{port}"));
        let store = open(config(&format!("postgres://postgres@{first},{second}/postgres"))).await;
        store.ready().await.unwrap();
    }
    let none = config(&format!("postgres://postgres@127.0.0.1:{standby},127.0.0.1:1/postgres"))
        .with_connect_timeout(Duration::from_millis(500));
    let error = migrate(&none).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
}
