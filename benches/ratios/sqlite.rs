//! The ratio of the calls a second that the store in a file takes to those of the baseline, in
//! alternation, one RSVP or one question a call.
//!
//! ```text
//! cargo bench -p rsvp-benches --bench ratios -- sqlite
//! ```
//!
//! Both keep two files in one temporary folder, with the log synced at each commit. The baseline is a
//! prepared statement for the pair and one for the count in a transaction for each RSVP, on one
//! connection that all callers share. The ratio is that of the medians. With one caller the inverse of
//! the ratio compares latencies. Set `TMPDIR` to measure another disk.
use std::sync::Arc;

use rsvp_benches::{Alternation, Load, Pairs, SqliteBaseline};
use rsvp_core::{Rsvp, RsvpStore, RsvpStoreExt, WriteOptions};
use rsvp_sqlite::{SqliteConfig, SqliteStore};

const CALLERS: usize = 1_000;

async fn compare_writes(callers: usize, events: u64, alternation: Alternation) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = SqliteConfig::new(folder.path().join("store.db"));
    let ours = SqliteStore::open(config).await.expect("a store");
    let theirs = SqliteBaseline::create(&folder.path().join("baseline.db"));
    let (pairs, same) = (Arc::new(Pairs::of(events)), Arc::new(Pairs::of(events)));
    let store = async |time| {
        let (ours, pairs) = (ours.clone(), Arc::clone(&pairs));
        let tally = Load(callers).during(time, move || {
            let (ours, pair) = (ours.clone(), pairs.nth(pairs.number()));
            async move {
                let receipt = ours.rsvp(&pair.user, &pair.event).await.expect("an RSVP");
                assert!(receipt.outcome.is_applied(), "{pair:?} was there already");
            }
        });
        tally.await.per_second()
    };
    let baseline = async |time| {
        let (theirs, pairs) = (theirs.clone(), Arc::clone(&same));
        let tally = Load(callers).during(time, move || {
            let (theirs, pair) = (theirs.clone(), pairs.nth(pairs.number()));
            async move { theirs.rsvp(pair).await }
        });
        tally.await.per_second()
    };
    let title = format!("RSVPs, {callers} caller(s), {events} event(s)");
    alternation.compare(&title, store, baseline).await;
    let audit = ours.maintenance().expect("it has one").audit().await.expect("an audit");
    assert!(audit.findings.is_empty(), "{audit:?}");
    ours.close().await.expect("closed");
}

/// Asks for pairs of which half exist, in no order.
async fn compare_reads(callers: usize, events: u64, alternation: Alternation) {
    const HELD: u64 = 200_000;
    let folder = tempfile::tempdir().expect("a folder");
    let config = SqliteConfig::new(folder.path().join("store.db"));
    let ours = SqliteStore::open(config).await.expect("a store");
    let theirs = SqliteBaseline::create(&folder.path().join("baseline.db"));
    let pairs = Arc::new(Pairs::of(events));
    while pairs.taken() < HELD {
        let batch = pairs.take(4096);
        theirs.load(&batch);
        ours.write_batch(&batch, &WriteOptions::default()).await.expect("a batch");
    }
    let held = pairs.taken();
    let draw = pairs.draw(500_000, 2 * held).map(|n| (pairs.nth(n), n < held));
    let asked: Arc<Vec<(Rsvp, bool)>> = Arc::new(draw.collect());
    let next = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let draw = move || {
        let n = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        asked.get(n % asked.len()).expect("a pair").clone()
    };
    let store = async |time| {
        let (ours, draw) = (ours.clone(), draw.clone());
        let tally = Load(callers).during(time, move || {
            let (ours, (pair, held)) = (ours.clone(), draw());
            async move {
                let has = ours.has_rsvped(&pair.user, &pair.event).await.expect("an answer");
                assert_eq!(has, held, "{pair:?}");
            }
        });
        tally.await.per_second()
    };
    let baseline = async |time| {
        let (theirs, draw) = (theirs.clone(), draw.clone());
        let tally = Load(callers).during(time, move || {
            let (theirs, (pair, held)) = (theirs.clone(), draw());
            async move { assert_eq!(theirs.has_rsvped(pair).await, held) }
        });
        tally.await.per_second()
    };
    let title = format!("has_rsvped, {callers} caller(s), {events} event(s)");
    alternation.compare(&title, store, baseline).await;
}

pub(crate) async fn run() {
    let Some(alternation) = Alternation::of("sqlite") else { return };
    for callers in [CALLERS, 1] {
        for events in [1, 10_000] {
            compare_writes(callers, events, alternation).await;
            compare_reads(callers, events, alternation).await;
        }
    }
}
