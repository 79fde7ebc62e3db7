//! So much at once, so many waiting, and not one more.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rsvp_core::layers::{LayerExt, LimitConfig, LimitStore};
use rsvp_core::{Effect, Error, RsvpStore, RsvpStoreExt, WriteOptions};

use crate::probe::Probe;
use crate::{ends, event, user};

fn limited(concurrency: usize, queue: usize) -> (Arc<LimitStore<Arc<Probe>>>, Arc<Probe>) {
    let probe = Probe::new();
    let config = LimitConfig::new(concurrency).with_queue(queue);
    (Arc::new(probe.clone().with_limit(config).unwrap()), probe)
}

/// Lets every other task go as far as it can.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_over_the_bound_is_refused_at_once() {
    let (store, probe) = limited(3, 2);
    probe.shut();
    let calls: Vec<_> = (0..5_u32)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.rsvp(&user(n), &event(1_u64)).await })
        })
        .collect();
    settle().await;
    assert_eq!(probe.asked().len(), 3, "three at once");
    let sixth = store.rsvp(&user(6_u64), &event(1_u64)).now_or_never().expect("at once");
    let error = sixth.unwrap_err();
    assert!(matches!(error, Error::Overloaded { .. }), "{error}");
    assert_eq!(error.effect(), Effect::NotApplied);
    assert!(matches!(store.ready().await.unwrap_err(), Error::Overloaded { .. }));
    probe.open();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(probe.store.table().rsvp_count(&event(1_u64)), 5);
    store.ready().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn ready_takes_no_place_and_does_not_wait() {
    let (store, probe) = limited(1, 1);
    probe.shut();
    let (ann, fair) = (user(1_u64), event(1_u64));
    let running = store.rsvp(&ann, &fair);
    let mut running = Box::pin(running);
    assert!(running.as_mut().now_or_never().is_none());
    probe.open();
    store.ready().now_or_never().expect("without waiting for the write").unwrap();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn callers_that_go_away_leave_no_place_taken() {
    let seed = rsvp_testkit::seed();
    println!("{}={seed}", rsvp_testkit::SEED_VARIABLE);
    let mut random = StdRng::seed_from_u64(seed);
    let (store, probe) = limited(4, 20);
    probe.shut();
    for round in 0..200_u32 {
        let patience: Vec<u64> = (0..40).map(|_| random.random_range(0..20)).collect();
        let calls = (0..40_u32).zip(patience).map(|(n, patience)| {
            let patience = Duration::from_millis(patience);
            let (user, event) = (user(round * 40 + n), event(1_u64));
            let store = &store;
            async move { tokio::time::timeout(patience, store.rsvp(&user, &event)).await }
        });
        probe.let_through(random.random_range(0..5));
        join_all(calls).await;
    }
    probe.open();
    let calls = (0..24_u32).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { store.rsvp(&user(n), &event(2_u64)).await })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().expect("there is room for as many as ever");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_callers_never_exceed_the_bound() {
    let (store, probe) = limited(8, 1000);
    let calls = (0..1000_u32).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { store.rsvp(&user(n), &event(1_u64)).await })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().unwrap();
    }
    assert_eq!(probe.store.table().rsvp_count(&event(1_u64)), 1000);
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_deadline_passes_in_the_queue_is_refused_and_leaves_its_place() {
    let (store, probe) = limited(1, 1);
    probe.shut();
    let spawn = |n: u64, options: WriteOptions| {
        let store = store.clone();
        tokio::spawn(async move { store.rsvp_with(&user(n), &event(1_u64), options).await })
    };
    let running = spawn(1, WriteOptions::default());
    settle().await;
    let patience = Duration::from_millis(100);
    let began = tokio::time::Instant::now();
    let queued = spawn(2, WriteOptions::default().with_timeout(patience));
    settle().await;
    assert!(matches!(store.ready().await.unwrap_err(), Error::Overloaded { .. }), "it is full");
    let error = ends(queued).await.unwrap().unwrap_err();
    assert_eq!(began.elapsed(), patience);
    assert!(matches!(error, Error::TimedOut { after, .. } if after == patience), "{error}");
    assert_eq!(error.effect(), Effect::NotApplied);
    let next = spawn(3, WriteOptions::default());
    settle().await;
    assert!(!next.is_finished(), "it waits where the other one has waited");
    probe.open();
    running.await.unwrap().unwrap();
    next.await.unwrap().unwrap();
    assert_eq!(probe.batches(), [1, 1], "the late one was not begun");
    assert!(!probe.store.table().has_rsvped(&user(2_u64), &event(1_u64)));
}

#[test]
fn a_call_with_a_deadline_and_without_a_runtime_waits_for_its_turn() {
    let (store, probe) = limited(1, 1);
    probe.shut();
    let (ann, fair) = (user(1_u64), event(1_u64));
    let mut running = Box::pin(store.rsvp(&ann, &fair));
    assert!(running.as_mut().now_or_never().is_none());
    let options = WriteOptions::default().with_timeout(Duration::from_secs(60));
    let mut queued = Box::pin(store.rsvp_with(&ann, &fair, options));
    assert!(queued.as_mut().now_or_never().is_none(), "without a panic");
}
