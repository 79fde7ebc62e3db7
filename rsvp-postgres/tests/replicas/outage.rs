//! A replica that is lost, silent or behind costs little, and serves again once it can.

use std::time::Duration;

use rsvp_core::{Consistency, PageRequest, RsvpStore, RsvpStoreExt};
use rsvp_postgres::PostgresStore;
use rsvp_testkit::servers::ReplicatedPostgres;
use tokio::time::Instant;

use crate::support::{event, eventually, open, primary_only, user};

const BOUNDED: Consistency = Consistency::Bounded(Duration::from_secs(5));

/// A store that writes to the primary and may read from the standby, which has its tables.
async fn store(pair: &ReplicatedPostgres) -> PostgresStore {
    open(pair, primary_only(pair, 1).with_connect_timeout(Duration::from_secs(2))).await
}

/// Whether the replica answers: only then may a count have an age.
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
