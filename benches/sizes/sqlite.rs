//! How many bytes an RSVP takes in the file of the store, and how fast it is, as the file grows.
//!
//! ```text
//! cargo bench -p rsvp-benches --bench sizes -- sqlite
//! RSVP_GROWTH=50000000 cargo bench -p rsvp-benches --bench sizes -- sqlite
//! ```
//!
//! RSVPs of a fifth as many users to a hundredth as many events, with ids of 13 bytes, written in
//! random order in batches of 2,048 from 4 callers. At each size: the rate of the last part, the bytes
//! of the file, questions about random pairs from 1,000 callers, single RSVPs from 1,000 callers, and
//! how long the file takes to open after the process did not close it. `RSVP_GROWTH` is the largest
//! size, by default 1,000,000.
use std::sync::Arc;
use std::time::Duration;

use rsvp_benches::{Invocation, Load, Pairs, write_all};
use rsvp_core::{RsvpStore, RsvpStoreExt};
use rsvp_sqlite::{SqliteConfig, SqliteStore};
use tokio::time::Instant;

const SIZES: [u64; 5] = [10_000, 1_000_000, 10_000_000, 20_000_000, 50_000_000];
const BATCH: usize = 2048;

/// Writes until so many pairs were taken; pairs a second.
async fn fill(store: &SqliteStore, pairs: &Arc<Pairs>, until: u64) -> f64 {
    let (begin, taken) = (Instant::now(), pairs.taken());
    let callers = (0..4).map(|_| {
        let (store, pairs) = (store.clone(), Arc::clone(pairs));
        tokio::spawn(async move {
            while pairs.taken() < until {
                let batch = pairs.take(BATCH);
                write_all(&store, &batch).await;
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.expect("no panic");
    }
    (pairs.taken() - taken) as f64 / begin.elapsed().as_secs_f64()
}

async fn has(store: &SqliteStore, pairs: &Arc<Pairs>, time: Duration) -> f64 {
    let limit = pairs.taken();
    let next = Arc::new(Pairs::of(1));
    let (store, pairs) = (store.clone(), Arc::clone(pairs));
    let tally = Load(1000).during(time, move || {
        let (store, n) = (store.clone(), next.number().wrapping_mul(0x9e37_79b9_7f4a_7c15) % limit);
        let pair = pairs.nth(n);
        async move {
            let has = store.has_rsvped(&pair.user, &pair.event).await.expect("an answer");
            assert!(has, "{pair:?}");
        }
    });
    tally.await.per_second()
}

async fn single(store: &SqliteStore, pairs: &Arc<Pairs>, time: Duration) -> f64 {
    let (store, pairs) = (store.clone(), Arc::clone(pairs));
    let tally = Load(1000).during(time, move || {
        let (store, pair) = (store.clone(), pairs.nth(pairs.number()));
        async move {
            store.rsvp(&pair.user, &pair.event).await.expect("an RSVP");
        }
    });
    tally.await.per_second()
}

pub(crate) async fn run() {
    let (largest, time) = match Invocation::of("sqlite") {
        Invocation::Skip => return,
        Invocation::Try => (10_000, Duration::from_millis(100)),
        Invocation::Measure => {
            let largest = std::env::var("RSVP_GROWTH").ok().and_then(|size| size.parse().ok());
            (largest.unwrap_or(1_000_000), Duration::from_secs(5))
        }
    };
    println!("RSVPs | filled/s | bytes each | has_rsvped/s | single RSVPs/s | open after a crash");
    for size in SIZES.into_iter().filter(|size| *size <= largest) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("store.db");
        let store = SqliteStore::open(SqliteConfig::new(&path)).await.expect("a store");
        let pairs = Arc::new(Pairs::of(size / 100).with_users(size / 5));
        fill(&store, &pairs, size * 9 / 10).await;
        let filled = fill(&store, &pairs, size).await;
        store.close().await.expect("closed");
        let held = count(&path);
        let bytes = std::fs::metadata(&path).expect("a file").len() as f64 / held as f64;

        let store = SqliteStore::open(SqliteConfig::new(&path)).await.expect("a store");
        let has = has(&store, &pairs, time).await;
        let single = single(&store, &pairs, time).await;
        // The files as a crash would leave them.
        let crashed = tempfile::tempdir().expect("a folder");
        for name in ["store.db", "store.db-wal"] {
            std::fs::copy(folder.path().join(name), crashed.path().join(name)).expect("a copy");
        }
        let begin = Instant::now();
        let config = SqliteConfig::new(crashed.path().join("store.db"));
        let again = SqliteStore::open(config).await.expect("a store");
        let opened = begin.elapsed();
        again.close().await.expect("closed");
        store.close().await.expect("closed");
        println!("{held} | {filled:.0} | {bytes:.1} | {has:.0} | {single:.0} | {opened:?}");
    }
}

fn count(path: &std::path::Path) -> i64 {
    let connection = rusqlite::Connection::open(path).expect("the file");
    let sql = "SELECT count(*) FROM rsvps";
    connection.query_row(sql, [], |row| row.get(0)).expect("a number")
}
