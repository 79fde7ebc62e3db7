//! Counts are exact under concurrent writers, and can be repaired after another program changed the
//! tables.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rsvp_core::{
    Audit, EventId, Finding, FindingKind, ReadOptions, RsvpStore, RsvpStoreExt, UserId, Write,
    WriteOptions,
};
use rsvp_postgres::{PostgresConfig, PostgresStore};
use rsvp_testkit::servers::PostgresServer;
use tokio::task::JoinSet;

const WRITERS: u64 = 32;
/// All writers want the locks of the same pairs: the last of the queue waits for all batches before its
/// own, on a slow disk for longer than a second. All of them connect at once.
const PATIENT: &str = "pool_size=32&connect_timeout=60s&lock_timeout=60s&statement_timeout=60s\
    &acquire_timeout=60s";

async fn fresh(parameters: &str) -> (PostgresStore, String) {
    let url = PostgresServer::shared().await.create_database().await;
    let config = PostgresConfig::from_url(&format!("{url}?migrate=true&{parameters}")).unwrap();
    (PostgresStore::open(config).await.unwrap(), url)
}

async fn audit(store: &PostgresStore) -> Audit {
    store.maintenance().unwrap().audit().await.unwrap()
}

async fn repair(store: &PostgresStore) -> Audit {
    store.maintenance().unwrap().repair().await.unwrap()
}

/// Many writers at once send mixed batches over few pairs.
/// Their outcomes add up to the counts and to the rows, and the server has seen no deadlock.
async fn assert_exact(events: u32, users: u32, writes_of_each: usize) {
    let (store, url) = fresh(PATIENT).await;
    let seed = rsvp_testkit::seed();
    println!("{}={seed}", rsvp_testkit::SEED_VARIABLE);
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let store = store.clone();
        let mut rng = StdRng::seed_from_u64(seed ^ writer);
        writers.spawn(async move {
            let (mut written, mut moved) = (0, 0_i64);
            while written < writes_of_each {
                let batch: Vec<_> = (0..rng.random_range(1..=150))
                    .map(|_| {
                        let user = UserId::from(rng.random_range(0..users));
                        let event = EventId::from(rng.random_range(0..events));
                        match rng.random_bool(0.6) {
                            true => Write::rsvp(user, event),
                            false => Write::cancel(user, event),
                        }
                    })
                    .collect();
                let receipt = store.write_batch(&batch, &WriteOptions::default()).await.unwrap();
                let outcomes = receipt.outcomes().unwrap();
                for (write, outcome) in batch.iter().zip(outcomes) {
                    let step = if write.action == rsvp_core::Action::Rsvp { 1 } else { -1 };
                    moved += if outcome.is_applied() { step } else { 0 };
                }
                written += batch.len();
            }
            moved
        });
    }
    let moved: i64 = writers.join_all().await.into_iter().sum();

    let all: Vec<_> = (0..events).map(EventId::from).collect();
    let counts = store.rsvp_count_batch(&all, &ReadOptions::strong()).await.unwrap();
    let counted: u64 = counts.into_iter().map(|count| count.unwrap().value).sum();
    assert_eq!(i64::try_from(counted).unwrap(), moved, "counts move by the applied outcomes");
    assert_eq!(audit(&store).await.findings, [], "every count equals its rows");

    let server = PostgresServer::shared().await;
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(server.execute_in(&url, deadlocks).await.trim(), "0", "deadlocks");
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_of_one_event_are_exact_under_concurrent_writers() {
    assert_exact(1, 200, 3125).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_of_many_events_are_exact_under_concurrent_writers() {
    assert_exact(50, 20, 3125).await;
}

#[tokio::test]
async fn an_audit_names_every_event_that_differs() {
    let (store, url) = fresh("").await;
    for event in 0..250_u32 {
        store.rsvp(&UserId::from(1), &EventId::from(event)).await.unwrap();
    }
    let clean = audit(&store).await;
    assert_eq!((clean.checked, clean.findings), (250, vec![]));

    let server = PostgresServer::shared().await;
    let meddling = "UPDATE rsvp.counts SET count = 5 WHERE event_id = '7';
        DELETE FROM rsvp.counts WHERE event_id = '200';
        INSERT INTO rsvp.rsvps (event_id, user_id) VALUES ('never counted', 'x'), ('8', 'x');
        INSERT INTO rsvp.counts VALUES ('nobody there', 0, -3)";
    server.execute_in(&url, meddling).await;
    let drift = |event: &str, held, counted| {
        let kind = FindingKind::Count { held, counted };
        Finding::new(kind, EventId::new(event).unwrap(), None)
    };
    let expected = [
        drift("200", 1, 0),
        drift("7", 1, 5),
        drift("8", 2, 1),
        drift("never counted", 1, 0),
        drift("nobody there", 0, -3),
    ];
    assert_eq!(audit(&store).await.findings, expected);
    let corrupt = store.rsvp_count(&EventId::new("nobody there").unwrap()).await.unwrap_err();
    assert!(matches!(corrupt, rsvp_core::Error::Corrupt { .. }), "{corrupt:?}");

    assert_eq!(repair(&store).await.findings, expected);
    let repaired = audit(&store).await;
    assert_eq!((repaired.checked, repaired.findings), (252, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_loses_no_concurrent_write() {
    let (store, url) = fresh("pool_size=16&lock_timeout=60s").await;
    let server = PostgresServer::shared().await;
    let event = EventId::from(1);
    let mut writers = JoinSet::new();
    for writer in 0..8_u32 {
        let (store, event) = (store.clone(), event.clone());
        writers.spawn(async move {
            for n in 0..150_u32 {
                let user = UserId::from(writer * 1000 + n % 50);
                match n % 3 {
                    2 => store.cancel(&user, &event).await.unwrap(),
                    _ => store.rsvp(&user, &event).await.unwrap(),
                };
            }
        });
    }
    let mut repairs = JoinSet::new();
    for _ in 0..2 {
        let store = store.clone();
        repairs.spawn(async move { repair(&store).await });
    }
    while !writers.is_empty() {
        let drift = "INSERT INTO rsvp.counts VALUES ('1', 3, 100)
                     ON CONFLICT (event_id, slot) DO UPDATE SET count = counts.count + 100";
        server.execute_in(&url, drift).await;
        repair(&store).await;
        while let Some(written) = writers.try_join_next() {
            written.unwrap();
        }
    }
    repairs.join_all().await;
    repair(&store).await;
    assert_eq!(audit(&store).await.findings, []);
}
