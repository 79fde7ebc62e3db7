//! Dropped calls and cut connections confuse nobody and leak nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::support::{counts, event, eventually, held, open, random, user, write};
use futures_util::{FutureExt, TryStreamExt};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rsvp_core::{
    Error, Outcome, PageLimit, PageRequest, Result, Rsvp, RsvpStore, RsvpStoreExt, Write,
    WriteOptions,
};
use rsvp_redis::RedisStore;
use rsvp_testkit::servers::{Proxy, RedisServer};
use tokio::task::JoinSet;
use tokio::time::timeout;

const CALLERS: u64 = 100;
const CALLS: u64 = 1000;
const IN_FLIGHT: usize = 200;
const CONNECTIONS: usize = 2;
/// Events that nobody changes: `quiet-N` has the users 0, 2, 4, … below 2N.
const QUIET: u64 = 20;

/// Any call of the trait, on pairs that nobody relies on.
async fn noise(store: &RedisStore, rng: &mut StdRng) -> Result<()> {
    let noisy = |n: u32| user(format!("noisy-{n}"));
    let (user, event) = (noisy(rng.random_range(0..50)), event(rng.random_range(0..5)));
    let options = WriteOptions::default();
    match rng.random_range(0..10) {
        0 => store.rsvp(&user, &event).await.map(drop),
        1 => store.cancel(&user, &event).await.map(drop),
        2 => {
            let change = |n: u32| match n.is_multiple_of(2) {
                true => Write::rsvp(noisy(n), event.clone()),
                false => Write::cancel(noisy(n), event.clone()),
            };
            let batch: Vec<_> = (0..8).map(change).collect();
            write(store, &batch).await.map(drop)
        }
        3 => held(store, &[Rsvp::new(user, event)]).await.map(drop),
        4 => counts(store, &[event]).await.map(drop),
        5 => store.attendees_page(&event, &PageRequest::default()).await.map(drop),
        6 => store.scan_page(&PageRequest::default()).await.map(drop),
        7 => store.remove_user_step(&user, PageLimit::MIN, &options).await.map(drop),
        8 => store.remove_event_step(&event, PageLimit::MIN, &options).await.map(drop),
        _ => store.ready().await,
    }
}

/// A call whose answer nobody else can change.
async fn assert_own_answer(store: &RedisStore, rng: &mut StdRng) -> Result<()> {
    let size = rng.random_range(1..=QUIET);
    let quiet = event(format!("quiet-{size}"));
    let users: Vec<u64> = (0..8).map(|_| rng.random_range(0..2 * size)).collect();
    let is_in = |user: &u64| user.is_multiple_of(2);
    match rng.random_range(0..5) {
        0 => {
            let pair = |name: &u64| Rsvp::new(user(name), quiet.clone());
            let pairs: Vec<_> = users.iter().map(pair).collect();
            let answers = held(store, &pairs).await?;
            assert_eq!(answers, users.iter().map(is_in).collect::<Vec<_>>(), "{users:?}");
        }
        1 => {
            let other = event(format!("quiet-{}", QUIET + 1 - size));
            let counts = counts(store, &[quiet, other]).await?;
            assert_eq!(counts, [size, QUIET + 1 - size]);
        }
        2 => {
            let listed: BTreeSet<_> = store.attendees(&quiet).try_collect().await?;
            assert_eq!(listed, (0..size).map(|n| user(2 * n)).collect(), "attendees of {size}");
        }
        3 => {
            let listed: BTreeSet<_> = store.events_of(&user(2 * size - 2)).try_collect().await?;
            let expected = (size..=QUIET).map(|n| event(format!("quiet-{n}"))).collect();
            assert_eq!(listed, expected, "events of the last of {size}");
        }
        _ => {
            let change = |name: &u64| match is_in(name) {
                true => Write::rsvp(user(name), quiet.clone()),
                false => Write::cancel(user(name), quiet.clone()),
            };
            let batch: Vec<_> = users.iter().map(change).collect();
            assert_eq!(write(store, &batch).await?, [Outcome::Unchanged; 8]);
        }
    }
    Ok(())
}

/// Changes the caller's own pair, and checks the outcome if the state before is known.
async fn toggle(store: &RedisStore, caller: u64, state: &mut Option<bool>) -> Result<()> {
    let wanted = !state.unwrap_or(false);
    let pair = (user(format!("caller-{caller}")), event("toggled"));
    let before = state.take();
    let outcome = match wanted {
        true => store.rsvp(&pair.0, &pair.1).await?.outcome,
        false => store.cancel(&pair.0, &pair.1).await?.outcome,
    };
    assert!(before.is_none() || outcome == Outcome::Applied, "{pair:?}: {before:?}, {outcome:?}");
    *state = Some(wanted);
    Ok(())
}

#[derive(Debug, Default)]
struct Tally {
    answered: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    cuts: AtomicU64,
}

impl Tally {
    fn note(&self, outcome: Option<Result<()>>) {
        let counter = match outcome {
            Some(Ok(())) => &self.answered,
            Some(Err(error)) => {
                assert!(error.is_retryable(), "{error:?}");
                &self.failed
            }
            None => &self.dropped,
        };
        counter.fetch_add(1, Relaxed);
    }
}

/// Calls one after another; some are dropped at any moment, and now and then all connections are
/// cut.
async fn call(store: RedisStore, proxy: Arc<Proxy>, tally: Arc<Tally>, caller: u64, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut state = Some(false);
    for _ in 0..CALLS {
        if rng.random_ratio(1, 1000) {
            proxy.cut().await;
            tally.cuts.fetch_add(1, Relaxed);
        }
        let patience = match rng.random_ratio(1, 3) {
            true => Duration::from_micros(rng.random_range(0..8_000)),
            false => crate::support::LIMIT,
        };
        let outcome = match rng.random_range(0..5) {
            0 => Some(toggle(&store, caller, &mut state).await),
            1 | 2 => timeout(patience, assert_own_answer(&store, &mut rng)).await.ok(),
            _ => timeout(patience, noise(&store, &mut rng)).await.ok(),
        };
        tally.note(outcome);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_calls_and_cut_connections_leak_nothing_and_confuse_nobody() {
    let mut random = random();
    let server = RedisServer::start().await;
    let proxy = Arc::new(Proxy::start(server.port()).await);
    let parameters =
        format!("max_in_flight={IN_FLIGHT}&connections={CONNECTIONS}&response_timeout=20s");
    let store = open(&format!("redis://127.0.0.1:{}?{parameters}", proxy.port())).await;
    for size in 1..=QUIET {
        let quiet = event(format!("quiet-{size}"));
        let batch: Vec<_> = (0..size).map(|n| Write::rsvp(user(2 * n), quiet.clone())).collect();
        write(&store, &batch).await.unwrap();
    }
    proxy.set_delay(Duration::from_millis(1));

    let tally = Arc::new(Tally::default());
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (store, proxy, tally) = (store.clone(), proxy.clone(), tally.clone());
        callers.spawn(call(store, proxy, tally, caller, random.random()));
    }
    callers.join_all().await;
    println!("{tally:?}");
    let dropped = tally.dropped.load(Relaxed);
    assert!(tally.answered.load(Relaxed) > CALLERS * CALLS / 2, "{tally:?}");
    assert!(dropped > CALLERS * CALLS / 20 && tally.cuts.load(Relaxed) > 30, "{tally:?}");

    proxy.set_delay(Duration::ZERO);
    assert_every_permit_is_back(&store, &proxy).await;
    for _ in 0..100 {
        assert_own_answer(&store, &mut random).await.unwrap();
    }
    eventually("closed connections to go", async || proxy.open() <= CONNECTIONS).await;
}

/// As many calls as may be under way all are, one more is refused, and all are answered.
async fn assert_every_permit_is_back(store: &RedisStore, proxy: &Proxy) {
    // Writes whose callers went away finish first.
    let pair = (user(0), event("quiet-1"));
    eventually("writes without a caller to finish", async || store.ready().await.is_ok()).await;
    proxy.stall().await;
    let mut calls = JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let (store, (user, event)) = (store.clone(), pair.clone());
        calls.spawn(async move { store.has_rsvped(&user, &event).await });
    }
    eventually("all calls to be under way", async || {
        let refused = store.has_rsvped(&pair.0, &pair.1).now_or_never();
        matches!(refused, Some(Err(Error::Overloaded { .. })))
    })
    .await;
    proxy.resume().await;
    for answer in calls.join_all().await {
        assert!(answer.unwrap());
    }
}
