//! Stores, and checks that they are whole again after a fault.

use std::time::Duration;

use futures_util::future::join_all;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rsvp_core::{EventId, RsvpStore, UserId};
use rsvp_postgres::{PostgresConfig, PostgresStore, migrate};
use rsvp_testkit::ledger::{self, Ledger};
use tokio::time::{Instant, sleep, timeout};

/// More than anything here takes on a machine that is busy with other tests.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A random generator whose seed is printed, so that a failure can be repeated.
pub(crate) fn random() -> StdRng {
    let seed = rsvp_testkit::seed();
    println!("{}={seed}", rsvp_testkit::SEED_VARIABLE);
    StdRng::seed_from_u64(seed)
}

pub(crate) fn config(url: &str) -> PostgresConfig {
    PostgresConfig::from_url(url).unwrap()
}

/// Creates the tables and opens a store on them.
pub(crate) async fn open(config: PostgresConfig) -> PostgresStore {
    migrate(&config).await.unwrap();
    PostgresStore::open(config).await.unwrap()
}

pub(crate) fn user(name: impl std::fmt::Display) -> UserId {
    UserId::new(name.to_string()).unwrap()
}

pub(crate) fn event(name: impl std::fmt::Display) -> EventId {
    EventId::new(name.to_string()).unwrap()
}

/// The URL of `server`'s database `postgres` as it is reached through another port.
pub(crate) fn through(port: u16) -> String {
    format!("postgres://postgres@127.0.0.1:{port}/postgres")
}

/// Asks again and again until `probe` answers yes.
pub(crate) async fn eventually(state: &str, mut probe: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !probe().await {
            sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(LIMIT, asking).await.is_ok(), "waited {LIMIT:?} for {state}");
}

/// Runs as many calls at once as the pool has connections, until it has that many and all of
/// them are idle. Every call must succeed promptly. A round may leave fewer connections than
/// calls, as one that is done before the next begins leaves it its own; a place that was lost
/// leaves fewer after every round.
pub(crate) async fn assert_full_capacity(store: &PostgresStore, size: usize) {
    eventually("all connections to be open and idle", async || {
        let began = Instant::now();
        for answer in join_all((0..size).map(|_| store.ready())).await {
            answer.unwrap();
        }
        assert!(began.elapsed() < Duration::from_secs(5), "promptly: {:?}", began.elapsed());
        eventually("the connections to be idle", async || {
            let (open, idle) = store.connections();
            open == idle
        })
        .await;
        assert!(store.connections().0 <= size, "more than {size} connections");
        store.connections().0 == size
    })
    .await;
}

/// What the ledger says holds, and the store's own audit finds nothing either.
pub(crate) async fn check(store: &PostgresStore, ledger: &Ledger) {
    ledger::check(store, ledger).await;
    assert_eq!(store.audit().await.unwrap().drifts, []);
}
