//! Support that all test binaries share.

#![allow(dead_code, reason = "each test binary uses its own part")]

pub(crate) mod authority;
pub(crate) mod calls;
pub(crate) mod log;
pub(crate) mod mover;
pub(crate) mod own_keys;
pub(crate) mod prober;
pub(crate) mod raw;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::TryStreamExt;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rsvp_core::backend::combine;
use rsvp_core::{
    Audit, EventId, Finding, FindingKind, Maintenance, Outcome, ReadOptions, Result, Rsvp,
    RsvpStore, RsvpStoreExt, UserId, Write, WriteOptions,
};
use rsvp_redis::{RedisConfig, RedisStore};
use rsvp_testkit::Model;
use rsvp_testkit::ledger::Ledger;
use rsvp_testkit::servers::ReplicatedRedis;
use tokio::time::{sleep, timeout};

/// More than anything here takes on a machine that is busy with other tests.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A prefix that no other test of this process has.
pub(crate) fn prefix() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A random generator whose seed is printed, so that a failure can be repeated.
pub(crate) fn random() -> StdRng {
    let seed = rsvp_testkit::seed();
    println!("{}={seed}", rsvp_testkit::SEED_VARIABLE);
    StdRng::seed_from_u64(seed)
}

pub(crate) fn config(url: &str) -> RedisConfig {
    RedisConfig::from_url(url).unwrap()
}

pub(crate) async fn open(url: &str) -> RedisStore {
    RedisStore::open(config(url)).await.unwrap()
}

pub(crate) fn user(name: impl std::fmt::Display) -> UserId {
    UserId::new(name.to_string()).unwrap()
}

pub(crate) fn event(name: impl std::fmt::Display) -> EventId {
    EventId::new(name.to_string()).unwrap()
}

/// The outcomes of a batch, if every write was acknowledged, and otherwise the error of the whole.
pub(crate) async fn write(store: &RedisStore, batch: &[Write]) -> Result<Vec<Outcome>> {
    let receipt = store.write_batch(batch, &WriteOptions::default()).await?;
    assert_eq!(receipt.results.len(), batch.len(), "one result for each write");
    Ok(combine(receipt.results)?.into_iter().map(|written| written.outcome).collect())
}

/// Whether each pair exists, if all can be read.
pub(crate) async fn held(store: &RedisStore, pairs: &[Rsvp]) -> Result<Vec<bool>> {
    let held = store.has_rsvped_batch(pairs, &ReadOptions::strong()).await?;
    assert_eq!(held.len(), pairs.len(), "one answer for each pair");
    combine(held)
}

/// The count of each event, if all can be read.
pub(crate) async fn counts(store: &RedisStore, events: &[EventId]) -> Result<Vec<u64>> {
    let counts = store.rsvp_count_batch(events, &ReadOptions::strong()).await?;
    assert_eq!(counts.len(), events.len(), "one count for each event");
    Ok(combine(counts)?.into_iter().map(|count| count.value).collect())
}

/// How many of the findings are RSVPs that their user's list misses, and how many are entries
/// without an RSVP.
pub(crate) fn differences(findings: &[Finding]) -> (u64, u64) {
    let missing = findings.iter().filter(|finding| finding.kind == FindingKind::Missing).count();
    (missing as u64, (findings.len() - missing) as u64)
}

/// Repairs everything and tells what it found.
pub(crate) async fn repair(store: &RedisStore) -> Audit {
    let repaired = store.repair().await.unwrap();
    let (missing, left_over) = differences(&repaired.findings);
    println!("{} checked, {missing} missing, {left_over} left over", repaired.checked);
    repaired
}

/// Asks again and again until `probe` answers yes.
pub(crate) async fn eventually(what: &str, mut probe: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !probe().await {
            sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(LIMIT, asking).await.is_ok(), "waited {LIMIT:?} for {what}");
}

/// The URL of both servers of a pair.
pub(crate) fn both(pair: &ReplicatedRedis) -> String {
    let [first, second] = [pair.primary().port(), pair.replica().port()];
    format!("redis://127.0.0.1:{first},127.0.0.1:{second}")
}

/// The key of an event that is not divided, with the default prefix.
pub(crate) fn event_key(event: &EventId) -> String {
    format!("rsvp:e:{{0:{event}}}")
}

pub(crate) fn user_key(user: &UserId) -> String {
    format!("rsvp:u:{{{user}}}")
}

/// Repairs the differences that a failover has left. Then both directions and all counts must
/// agree.
pub(crate) async fn assert_repairable(store: &RedisStore, ledger: &Ledger) {
    repair(store).await;
    let mut model = Model::new();
    for (pair, _) in ledger.iter() {
        model.write(&Write::cancel(pair.user.clone(), pair.event.clone()));
    }
    let pairs: Vec<Rsvp> = store.scan().try_collect().await.unwrap();
    for Rsvp { user, event } in pairs {
        model.write(&Write::rsvp(user, event));
    }
    model.assert_held_by(store).await;
    assert_eq!(repair(store).await.findings, [], "nothing is left to repair");
}
