//! A lock that another session holds on one event stops no other event.

use std::time::Duration;

use rsvp_core::{
    Effect, Error, EventId, ReadOptions, RsvpStore, RsvpStoreExt, Write, WriteOptions,
};
use rsvp_postgres::PostgresStore;
use rsvp_testkit::servers::PostgresServer;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::support::{
    HeldLock, assert_counts_are_exact, assert_full_capacity, config, event, held_lock, open, user,
    waits_for_lock,
};

/// The part of an event that another session locks.
const LOCKS: [&str; 3] = [
    "UPDATE rsvp.counts SET count = count WHERE event_id = 'locked'",
    "SELECT FROM rsvp.counts WHERE event_id = 'locked' FOR UPDATE",
    "INSERT INTO rsvp.rsvps SELECT 'locked', n::text FROM generate_series(1, 100) n",
];

/// A store whose connections have all counted the event, and the lock on the event.
async fn locked(
    server: &PostgresServer,
    pool_size: usize,
    lock: &str,
) -> (PostgresStore, HeldLock) {
    let store = open(config(&server.url("postgres")).with_pool_size(pool_size)).await;
    // Every slot, so that every connection meets the lock.
    let slots = "INSERT INTO rsvp.counts SELECT 'locked', n, 0 FROM generate_series(0, 15) n
                 ON CONFLICT DO NOTHING";
    server.execute(slots).await;
    let held = held_lock(server, lock).await;
    (store, held)
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_of_an_event_that_is_locked_stop_no_other_call() {
    let server = PostgresServer::start().await;
    for lock in LOCKS {
        let (store, held) = locked(&server, 10, lock).await;
        let mut writers = JoinSet::new();
        for writer in 1..=30 {
            let store = store.clone();
            writers.spawn(async move {
                for _ in 0..3 {
                    let error = store.rsvp(&user(writer), &event("locked")).await.unwrap_err();
                    assert!(error.is_retryable(), "{error:?}");
                    assert_eq!(error.effect(), Effect::NotApplied, "{error:?}");
                }
            });
        }
        while !waits_for_lock(&server).await {
            sleep(Duration::from_millis(5)).await;
        }
        // 1. Reads do not wait at all, not even those of the same event.
        let (mut slowest_read, began) = (Duration::ZERO, Instant::now());
        while began.elapsed() < Duration::from_millis(700) {
            let asked = Instant::now();
            store.rsvp_count_with(&event("other"), ReadOptions::strong()).await.unwrap();
            store.has_rsvped(&user(1), &event("locked")).await.unwrap();
            slowest_read = slowest_read.max(asked.elapsed());
        }
        // 2. Other writes wait once at most, until the event is known to be locked.
        let first = Instant::now();
        store.rsvp(&user(1), &event("other")).await.unwrap();
        let first = first.elapsed();
        let mut slowest_write = Duration::ZERO;
        for n in 2..40 {
            let asked = Instant::now();
            store.rsvp(&user(n), &event("other")).await.unwrap();
            slowest_write = slowest_write.max(asked.elapsed());
        }
        println!("{lock}: read {slowest_read:?}, first {first:?}, write {slowest_write:?}");
        assert!(slowest_read < Duration::from_millis(500), "{slowest_read:?}");
        assert!(first < Duration::from_secs(2), "{first:?}");
        assert!(slowest_write < Duration::from_millis(500), "{slowest_write:?}");
        writers.join_all().await;
        held.release().await;
        store.rsvp(&user(1), &event("locked")).await.unwrap();
        assert_full_capacity(&store, 10).await;
        assert_counts_are_exact(&store).await;
        store.close().await.unwrap();
        server.execute("TRUNCATE rsvp.rsvps, rsvp.counts").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_fails_only_for_its_event_that_is_locked() {
    let server = PostgresServer::start().await;
    for lock in LOCKS {
        let (store, held) = locked(&server, 4, lock).await;
        let events: Vec<EventId> = (0..199).map(event).chain([event("locked")]).collect();
        for round in 0..2 {
            let writes: Vec<_> = events
                .iter()
                .flat_map(|event| [1, 2].map(|n| Write::rsvp(user(n + 10 * round), event.clone())))
                .collect();
            let began = Instant::now();
            let receipt = store.write_batch(&writes, &WriteOptions::default()).await.unwrap();
            println!("{lock}: round {round} took {:?}", began.elapsed());
            assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
            for (write, result) in writes.iter().zip(receipt.results) {
                // Pairs that the other session has not touched may be free.
                if write.rsvp.event != event("locked") {
                    assert!(result.is_ok(), "{write:?}: {result:?}");
                } else {
                    let error = result.unwrap_err();
                    assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
                    assert_eq!(error.effect(), Effect::NotApplied, "{error:?}");
                }
            }
        }
        held.release().await;
        store.rsvp(&user(1), &event("locked")).await.unwrap();
        assert_counts_are_exact(&store).await;
        store.close().await.unwrap();
        server.execute("TRUNCATE rsvp.rsvps, rsvp.counts").await;
    }
}
