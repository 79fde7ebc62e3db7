//! Stores, and checks that they are whole again after a fault.

use std::process::Command;
use std::time::Duration;

use futures_util::future::join_all;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rsvp_core::{EventId, PageLimit, ReadOptions, RsvpStore, RsvpStoreExt, UserId, WriteOptions};
use rsvp_postgres::{PostgresConfig, PostgresStore, migrate};
use rsvp_testkit::ledger::{self, Ledger};
use rsvp_testkit::servers::PostgresServer;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::time::{Instant, sleep, timeout};

/// More time than any wait needs, even on a machine that is busy with other tests.
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

/// The URL of `server`'s database `postgres` through another port.
pub(crate) fn through(port: u16) -> String {
    format!("postgres://postgres@127.0.0.1:{port}/postgres")
}

/// Repeats `probe` until it succeeds.
pub(crate) async fn eventually(state: &str, mut probe: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !probe().await {
            sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(LIMIT, asking).await.is_ok(), "waited {LIMIT:?} for {state}");
}

/// Checks that the pool has all its connections and places.
///
/// It runs as many reads at once as the pool has connections, and as many changes, until that many
/// connections are open and idle. Every call must succeed promptly.
/// A round may leave fewer connections than calls, because a call can take over the connection of
/// another. A lost place leaves fewer connections after every round.
pub(crate) async fn assert_full_capacity(store: &PostgresStore, size: usize) {
    eventually("all connections to be open and idle", async || {
        let began = Instant::now();
        let (strong, changing) = (ReadOptions::strong(), WriteOptions::default());
        let nobody = event("nobody's");
        let reads = (0..size).map(|_| store.rsvp_count_with(&nobody, strong.clone()));
        for answer in join_all(reads).await {
            answer.unwrap();
        }
        let changes =
            (0..size).map(|_| store.remove_event_step(&nobody, PageLimit::MIN, &changing));
        for answer in join_all(changes).await {
            answer.unwrap();
        }
        store.ready().await.unwrap();
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

/// Every count is the number of its RSVPs.
pub(crate) async fn assert_counts_are_exact(store: &PostgresStore) {
    let audit = store.maintenance().unwrap().audit().await.unwrap();
    assert_eq!(audit.findings, []);
}

/// Checks the store against the ledger, and by its own audit.
pub(crate) async fn check(store: &PostgresStore, ledger: &Ledger) {
    ledger::check(store, ledger).await;
    assert_counts_are_exact(store).await;
}

/// Processes of a server that are suspended until this is dropped.
pub(crate) struct Stopped(Vec<i32>);

impl Stopped {
    pub(crate) fn one(pid: i32) -> Self {
        signal("-STOP", pid);
        Self(vec![pid])
    }

    /// All processes behind connections of this name.
    pub(crate) async fn all(server: &PostgresServer, application_name: &str) -> Self {
        let pids = backends(server, application_name).await;
        assert!(!pids.is_empty(), "a connection of {application_name}");
        pids.iter().for_each(|pid| signal("-STOP", *pid));
        Self(pids)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.iter().for_each(|pid| signal("-CONT", *pid));
    }
}

fn signal(signal: &str, pid: i32) {
    // A process that has ended is no error.
    let _ = Command::new("kill").args([signal, &pid.to_string()]).output().unwrap();
}

/// The processes behind connections of this name, the oldest first.
pub(crate) async fn backends(server: &PostgresServer, application_name: &str) -> Vec<i32> {
    let sql = format!(
        "SELECT pid FROM pg_stat_activity WHERE application_name = '{application_name}'
         ORDER BY backend_start"
    );
    server.execute(&sql).await.lines().map(|pid| pid.parse().unwrap()).collect()
}

/// Whether a call of a store waits for a lock.
pub(crate) async fn waits_for_lock(server: &PostgresServer) -> bool {
    let waiting = "SELECT count(*) FROM pg_stat_activity
                   WHERE application_name = 'rsvp' AND wait_event_type = 'Lock'";
    server.execute(waiting).await.trim() != "0"
}

/// A session with an open transaction and its locks.
pub(crate) struct HeldLock(PgConnection);

impl HeldLock {
    /// Undoes what the session has done.
    pub(crate) async fn release(mut self) {
        sqlx::query("ROLLBACK").execute(&mut self.0).await.unwrap();
    }
}

/// Runs `sql` in a session, and keeps its transaction open.
pub(crate) async fn held_lock(server: &PostgresServer, sql: &str) -> HeldLock {
    let mut pg = PgConnection::connect(&server.url("postgres")).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("BEGIN; {sql}"))).execute(&mut pg).await.unwrap();
    HeldLock(pg)
}
