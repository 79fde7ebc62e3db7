//! The server looks entries up by their keys, however it came by its plans.

use std::time::Duration;

use rsvp_core::{EventId, ReadOptions, Rsvp, RsvpStore, RsvpStoreExt, UserId, Write, WriteOptions};
use rsvp_postgres::{PostgresConfig, PostgresStore};
use rsvp_testkit::servers::PostgresServer;
use tokio::time::{sleep, timeout};

/// The attendees of the hot event.
const ATTENDEES: u64 = 20_000;
/// The pairs of a call.
const ASKED: u64 = 200;

/// The tables of a store with one connection, in a database of their own.
struct Tables {
    server: &'static PostgresServer,
    database: String,
}

impl Tables {
    /// Empty tables that nobody has analyzed.
    async fn create() -> (Self, PostgresStore) {
        let server = PostgresServer::shared().await;
        let url = server.create_database().await;
        let database = url.rsplit('/').next().unwrap().to_owned();
        let config = PostgresConfig::from_url(&format!("{url}?migrate=true&pool_size=1")).unwrap();
        (Self { server, database }, PostgresStore::open(config).await.unwrap())
    }

    async fn analyze(&self) {
        self.sql("VACUUM ANALYZE").await;
    }

    async fn sql(&self, sql: &str) -> String {
        self.server.execute_in(&self.database, sql).await
    }

    /// The index entries that statements have read in the tables. A session reports its numbers when
    /// it ends, so that all of them must have ended.
    async fn entries_read(&self) -> u64 {
        let sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                        AND backend_type = 'client backend' AND pid <> pg_backend_pid()";
        let ended = async {
            while self.sql(sessions).await.trim() != "0" {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(30), ended).await.unwrap();
        let read = "SELECT coalesce(sum(idx_tup_read), 0) FROM pg_stat_user_indexes
                    WHERE relname LIKE 'rsvps%'";
        self.sql(read).await.trim().parse().unwrap()
    }
}

fn hot() -> EventId {
    EventId::from(0)
}

async fn fill(store: &PostgresStore) {
    let hot = (0..ATTENDEES).map(|user| Write::rsvp(UserId::from(user), hot()));
    let others = (0..ATTENDEES).map(|n| Write::rsvp(UserId::from(n), EventId::from(1 + n / 5)));
    let writes: Vec<Write> = hot.chain(others).collect();
    store.write_batch(&writes, &WriteOptions::default()).await.unwrap().outcomes().unwrap();
}

/// Half of the pairs exist.
async fn ask(store: &PostgresStore) {
    let pairs: Vec<Rsvp> =
        (0..ASKED).map(|n| Rsvp::new(UserId::from(ATTENDEES - ASKED / 2 + n), hot())).collect();
    let answers = store.has_rsvped_batch(&pairs, &ReadOptions::default()).await.unwrap();
    let held = answers.into_iter().filter(|answer| *answer.as_ref().unwrap()).count();
    assert_eq!(held as u64, ASKED / 2);
}

/// Closes the store. The index entries that it has read are those of a few lookups for each pair.
async fn assert_looked_up(tables: &Tables, store: PostgresStore) {
    store.close().await.unwrap();
    let read = tables.entries_read().await;
    assert!(read <= 4 * ASKED, "{read} index entries were read for {ASKED} pairs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_for_small_events_looks_the_pairs_of_a_hot_event_up() {
    let (tables, store) = Tables::create().await;
    fill(&store).await;
    tables.analyze().await;
    ask(&store).await;
    assert_looked_up(&tables, store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_for_empty_tables_looks_the_pairs_of_a_hot_event_up() {
    let (tables, store) = Tables::create().await;
    tables.analyze().await;
    assert!(!store.has_rsvped(&UserId::from(0), &hot()).await.unwrap());
    fill(&store).await;
    ask(&store).await;
    assert_looked_up(&tables, store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_for_empty_tables_do_not_outlast_a_pause() {
    let (tables, store) = Tables::create().await;
    tables.analyze().await;
    let absent = (UserId::new("nobody").unwrap(), hot());
    store.cancel(&absent.0, &absent.1).await.unwrap();
    fill(&store).await;
    // A connection that was idle for 5 s is tested before its next use, and makes its plans again.
    sleep(Duration::from_secs(6)).await;
    store.cancel(&absent.0, &absent.1).await.unwrap();
    assert_looked_up(&tables, store).await;
}
