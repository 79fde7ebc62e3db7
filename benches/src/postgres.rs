//! A durable Postgres server with the store and the baseline on it.

use std::sync::Arc;

use rsvp_core::Rsvp;
use rsvp_postgres::{PostgresConfig, PostgresStore};
use rsvp_testkit::servers::PostgresServer;

use crate::{Load, Pairs, PostgresBaseline, write_all};

/// The settings that decide what a commit costs, printed with every run.
const SETTINGS: [&str; 8] = [
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_sync_method",
    "shared_buffers",
    "max_wal_size",
    "checkpoint_timeout",
];

/// A database of a server of its own, which ends with it.
#[derive(Debug)]
pub struct Database {
    server: PostgresServer,
    url: String,
    /// The store, with as many connections as the baseline has.
    pub store: Arc<PostgresStore>,
    /// The baseline.
    pub baseline: PostgresBaseline,
}

impl Database {
    /// The clients of the baseline, and the connections of either.
    pub const CLIENTS: usize = 32;

    /// Starts the server, creates the tables of both, and prints the settings.
    pub async fn start() -> Self {
        let server = PostgresServer::builder()
            .setting("shared_buffers", "512MB")
            // Checkpoints come by time and not by volume, as on a server that was tuned at all.
            .setting("max_wal_size", "4GB")
            .start()
            .await;
        let url = server.create_database().await;
        let config = PostgresConfig::from_url(&format!("{url}?migrate=true"))
            .expect("a legal configuration")
            .with_pool_size(Self::CLIENTS);
        let store = Arc::new(PostgresStore::open(config).await.expect("the store opens"));
        let baseline = PostgresBaseline::create(&url, Self::CLIENTS as u32).await;
        let database = Self { server, url, store, baseline };
        for setting in SETTINGS {
            println!("{setting} = {}", database.execute(&format!("SHOW {setting}")).await);
        }
        database
    }

    /// The baseline with a pool as sqlx makes it: see [`PostgresBaseline::connect`].
    pub async fn tested_baseline(&self) -> PostgresBaseline {
        PostgresBaseline::connect(&self.url, Self::CLIENTS as u32, true).await
    }

    /// Runs SQL, which may take a minute, and returns its rows as lines of columns parted by `|`.
    pub async fn execute(&self, sql: &str) -> String {
        self.server.execute_in(&self.url, sql).await
    }

    /// Empties the tables of both, and writes out dirty pages.
    pub async fn start_over(&self, events: u64) {
        self.execute("TRUNCATE rsvp.rsvps, rsvp.counts").await;
        self.baseline.start_over(events).await;
        self.execute("CHECKPOINT").await;
    }

    /// Writes pairs through the store until it has taken `total`, and has the tables vacuumed as
    /// autovacuum would have by and by.
    pub async fn load(&self, pairs: &Arc<Pairs>, total: u64) {
        const BATCH: u64 = 2_048;
        let (store, pairs) = (self.store.clone(), pairs.clone());
        let calls = total.div_ceil(BATCH * 4);
        Load(4)
            .times(calls, move || {
                let (store, writes) = (store.clone(), pairs.take(BATCH as usize));
                async move {
                    write_all(&*store, &writes).await;
                }
            })
            .await;
        self.execute("VACUUM ANALYZE rsvp.rsvps; VACUUM ANALYZE rsvp.counts").await;
    }

    /// Fails unless the tables of each hold the pairs that it was given, and its counts say
    /// the same.
    pub async fn verify(&self, store: u64, baseline: u64) {
        let sql = "SELECT (SELECT count(*) FROM rsvp.rsvps), \
                          (SELECT coalesce(sum(count), 0) FROM rsvp.counts), \
                          (SELECT count(*) FROM rsvps), \
                          (SELECT coalesce(sum(count), 0) FROM counters)";
        let expected = format!("{store}|{store}|{baseline}|{baseline}");
        assert_eq!(
            self.execute(sql).await,
            expected,
            "rows and counts of the store and of the baseline"
        );
    }
}

impl PostgresBaseline {
    /// Adds the next of `pairs`, which must be new.
    pub async fn take_one(&self, pairs: &Pairs) {
        for write in pairs.take(1) {
            let rsvp: &Rsvp = &write.rsvp;
            assert!(self.rsvp(rsvp).await, "{rsvp:?} was there already");
        }
    }
}
