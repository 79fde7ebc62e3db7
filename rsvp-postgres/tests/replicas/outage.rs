//! A replica that is lost, silent or behind costs little, and serves again once it can.

use std::time::Duration;

use futures_util::future::join_all;
use rsvp_core::{Consistency, Error, PageRequest, RsvpStore, RsvpStoreExt};
use rsvp_postgres::{PostgresConfig, PostgresStore};
use rsvp_testkit::servers::{Proxy, ReplicatedPostgres};
use tokio::time::Instant;

use crate::support::{event, eventually, open, primary_only, user};

const BOUNDED: Consistency = Consistency::Bounded(Duration::from_secs(5));

/// A store that writes to the primary and may read from the standby, which has its tables.
async fn store(pair: &ReplicatedPostgres) -> PostgresStore {
    open(pair, primary_only(pair, 1).with_connect_timeout(Duration::from_secs(2))).await
}

/// Whether the replica answers. Only then may a count have an age.
async fn is_served_by_the_replica(store: &PostgresStore) -> bool {
    !store.rsvp_count_with(&event(1), BOUNDED).await.unwrap().age.is_zero()
}

/// For longer than several rounds of finding out that the replica is down.
async fn slowest_of_many_reads(store: &PostgresStore, expected: u64) -> Duration {
    let (mut slowest, begin) = (Duration::ZERO, Instant::now());
    let token = store.rsvp(&user(1), &event(1)).await.unwrap().token;
    while begin.elapsed() < Duration::from_secs(5) {
        for consistency in [&BOUNDED, &Consistency::Eventual, &Consistency::Session(token.clone())]
        {
            let asked = Instant::now();
            let count = store.rsvp_count_with(&event(1), consistency.clone()).await.unwrap();
            assert_eq!(count.value, expected, "{consistency:?}");
            slowest = slowest.max(asked.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    slowest
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_stays_silent_delays_only_the_first_call() {
    let pair = ReplicatedPostgres::start().await;
    let store = store(&pair).await;
    store.rsvp(&user(1), &event(1)).await.unwrap();
    pair.wait_caught_up().await;
    eventually("the replica to serve", async || is_served_by_the_replica(&store).await).await;

    pair.standby().pause().await;
    let first = Instant::now();
    assert_eq!(store.rsvp_count_with(&event(1), Consistency::Eventual).await.unwrap().value, 1);
    let first = first.elapsed();
    let slowest = slowest_of_many_reads(&store, 1).await;
    println!("{first:?} for the first call, at most {slowest:?} for those after it");
    assert!(first < Duration::from_secs(4), "the statement timeout and a second: {first:?}");
    // Less than it takes to find out that the replica takes no connection.
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");

    pair.standby().resume().await;
    eventually("the replica to serve", async || is_served_by_the_replica(&store).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_was_killed_serves_again_after_its_start() {
    let pair = ReplicatedPostgres::start().await;
    let store = store(&pair).await;
    store.rsvp(&user(1), &event(1)).await.unwrap();
    pair.wait_caught_up().await;
    eventually("the replica to serve", async || is_served_by_the_replica(&store).await).await;

    pair.standby().kill().await;
    let slowest = slowest_of_many_reads(&store, 1).await;
    println!("at most {slowest:?} without the replica");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");

    pair.standby().start_again().await;
    pair.wait_caught_up().await;
    eventually("the replica to serve", async || is_served_by_the_replica(&store).await).await;
}

/// The replica is stopped between two writes, so that its answers can be told from the primary's.
#[tokio::test]
async fn a_session_is_served_by_a_replica_that_has_its_writes_and_by_no_other() {
    let pair = ReplicatedPostgres::start().await;
    let store = store(&pair).await;
    for n in 0..10 {
        let first = store.rsvp(&user(n), &event(1)).await.unwrap();
        pair.wait_caught_up().await;
        pair.pause_replay().await;
        let second = store.cancel(&user(n), &event(1)).await.unwrap();
        let mut both = first.token.clone();
        both.merge(&second.token);
        for (token, seen) in [(first.token, true), (second.token, false), (both, false)] {
            let session = Consistency::Session(token);
            let answer = store.has_rsvped_with(&user(n), &event(1), session.clone()).await.unwrap();
            assert_eq!(answer, seen, "{session:?}");
            let page = PageRequest::new(session.into());
            let listed = store.attendees_page(&event(1), &page).await;
            assert_eq!(listed.unwrap().items.contains(&user(n)), seen, "{:?}", page.options);
        }
        pair.resume_replay().await;
        pair.wait_caught_up().await;
    }
}

/// A standby does not report a promotion of its primary for minutes. But it replays a record of the
/// new primary.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_follows_a_promotion_in_place_serves_again() {
    let group = ReplicatedPostgres::builder().standbys(2).setting("log_connections", "on");
    let group = group.start().await;
    let standbys: Vec<u16> = group.standbys().map(|standby| standby.port()).collect();
    let url = format!("{}?migrate=true", group.url("postgres"));
    let mut config = PostgresConfig::from_url(&url).unwrap();
    for port in &standbys {
        config = config.with_replica(&format!("127.0.0.1:{port}"));
    }
    let store = PostgresStore::open(config).await.unwrap();
    store.rsvp(&user(1), &event(1)).await.unwrap();
    group.wait_caught_up().await;
    eventually("a replica to serve", async || is_served_by_the_replica(&store).await).await;

    let old = group.primary().port();
    group.primary().kill().await;
    group.promote().await;
    eventually("a write to succeed", async || store.rsvp(&user(2), &event(1)).await.is_ok()).await;
    let follower = group.standbys().find(|standby| standby.port() != old).unwrap();
    let connections = || {
        let log = std::fs::read_to_string(follower.log_path()).unwrap();
        log.lines().filter(|line| line.contains("application_name=rsvp")).count()
    };
    let (before, began) = (connections(), Instant::now());
    let served = async || {
        let answers = join_all((0..20).map(|_| is_served_by_the_replica(&store))).await;
        answers.into_iter().all(|served| served)
    };
    eventually("all reads to be served by replicas", served).await;
    let (took, taken) = (began.elapsed(), connections() - before);
    println!("served again after {took:?}, with {taken} new connections");
    assert!(took < Duration::from_secs(15), "{took:?}");
    assert!(taken <= 24, "{taken} connections");
    assert!(store.has_rsvped(&user(2), &event(1)).await.unwrap());
}

/// The load of the replicas would take the primary down, too.
#[tokio::test(flavor = "multi_thread")]
async fn the_load_of_a_busy_replica_does_not_fall_on_the_primary() {
    let pair = ReplicatedPostgres::start().await;
    let proxy = Proxy::start(pair.standby().port()).await;
    let config = primary_only(&pair, 5).with_pool_size(5);
    let config = config.with_acquire_timeout(Duration::from_millis(100));
    let config = config.with_replica(&format!("127.0.0.1:{}", proxy.port()));
    let store = PostgresStore::open(config).await.unwrap();
    store.rsvp(&user(1), &event(1)).await.unwrap();
    pair.wait_caught_up().await;
    eventually("the replica to serve", async || is_served_by_the_replica(&store).await).await;

    proxy.set_delay(Duration::from_millis(200));
    let fair = event(1);
    let reads = (0..200).map(|_| store.rsvp_count_with(&fair, Consistency::Eventual));
    let (mut by_replica, mut by_primary, mut refused) = (0, 0, 0);
    for answer in join_all(reads).await {
        match answer {
            Ok(count) if count.age.is_zero() => by_primary += 1,
            Ok(_) => by_replica += 1,
            Err(error) => {
                assert!(matches!(error, Error::Overloaded { .. }), "{error:?}");
                refused += 1;
            }
        }
    }
    println!("{by_replica} by the replica, {by_primary} by the primary, {refused} refused");
    assert!(by_replica > 0, "{by_replica}");
    assert!(refused > by_primary, "{refused} refused, {by_primary} by the primary");
    assert!(store.has_rsvped(&user(1), &fair).await.unwrap(), "strong reads go on");
}
