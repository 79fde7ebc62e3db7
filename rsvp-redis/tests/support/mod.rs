//! Support that all test binaries share.

#![allow(dead_code, reason = "each test binary uses its own part")]

pub(crate) mod calls;
pub(crate) mod log;
pub(crate) mod mover;
pub(crate) mod prober;
pub(crate) mod raw;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::TryStreamExt;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rsvp_core::{EventId, Rsvp, RsvpStoreExt, UserId, Write};
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
    let repaired = store.repair().await.unwrap();
    println!("{repaired:?}");
    let mut model = Model::new();
    for (pair, _) in ledger.iter() {
        model.write(&Write::cancel(pair.user.clone(), pair.event.clone()));
    }
    let pairs: Vec<Rsvp> = store.scan().try_collect().await.unwrap();
    for Rsvp { user, event } in pairs {
        model.write(&Write::rsvp(user, event));
    }
    model.assert_held_by(store).await;
    let again = store.repair().await.unwrap();
    assert_eq!((again.missing, again.left_over), (0, 0), "nothing is left to repair");
}
