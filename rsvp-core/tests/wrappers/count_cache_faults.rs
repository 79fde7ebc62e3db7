//! Counts while the store fails or hangs, and callers go away.

use std::time::Duration;

use futures_util::FutureExt;
use rsvp_core::{
    Count, CountCacheConfig, Effect, Error, Operation, RsvpStore, RsvpStoreExt, Write,
};
use tokio::time::{Instant, advance, sleep, timeout};

use crate::count_cache::{MILLISECOND, bounded, cached, count, fair, reads, written_elsewhere};
use crate::probe::Reaction;
use crate::{event, user};

fn down() -> Error {
    Error::unavailable(Operation::RsvpCounts, Effect::NotApplied, None)
}

fn stale_if_error() -> CountCacheConfig {
    CountCacheConfig::default().with_stale_if_error(Duration::from_secs(60)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_share_the_error() {
    let (store, probe) = cached(CountCacheConfig::default());
    probe.shut();
    probe.react((0..1000).map(|_| Reaction::Fail(down())));
    let calls: Vec<_> = (0..1000)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.rsvp_count(&fair()).await })
        })
        .collect();
    sleep(MILLISECOND).await;
    probe.open();
    for call in calls {
        assert!(call.await.unwrap().unwrap_err().is_retryable());
    }
    assert_eq!(reads(&probe), 1, "no chain of failing reads");
    assert!(store.rsvp_count(&fair()).await.is_err());
    assert_eq!(reads(&probe), 1, "who comes later asks again");
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_goes_away_is_replaced() {
    let (store, probe) = cached(CountCacheConfig::default());
    probe.shut();
    let gone = {
        let store = store.clone();
        tokio::spawn(async move { store.rsvp_count(&fair()).await })
    };
    sleep(MILLISECOND).await;
    let waits = {
        let store = store.clone();
        tokio::spawn(async move { store.rsvp_count(&fair()).await })
    };
    sleep(MILLISECOND).await;
    gone.abort();
    sleep(MILLISECOND).await;
    probe.open();
    assert_eq!(waits.await.unwrap().unwrap().value, 0);
    assert_eq!(reads(&probe), 2);
}

#[tokio::test(start_paused = true)]
async fn a_write_of_unknown_effect_is_neither_counted_nor_forgotten() {
    let unknown = || Error::unavailable(Operation::Write, Effect::Unknown, None);
    for (applied, reaction) in [(1, Reaction::Lose(unknown())), (0, Reaction::Fail(unknown()))] {
        let (store, probe) = cached(CountCacheConfig::default());
        count(&store, &bounded(5000)).await;
        probe.react([reaction]);
        store.rsvp(&user(1_u64), &fair()).await.unwrap_err();
        assert_eq!(count(&store, &bounded(5000)).await, Count::fresh(applied), "read again");
        assert_eq!(reads(&probe), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_was_not_applied_changes_nothing() {
    let (store, probe) = cached(CountCacheConfig::default());
    count(&store, &bounded(5000)).await;
    probe.react([Reaction::Fail(Error::overloaded(Operation::Write))]);
    store.rsvp(&user(1_u64), &fair()).await.unwrap_err();
    advance(1000 * MILLISECOND).await;
    assert_eq!(count(&store, &bounded(5000)).await.age, 1000 * MILLISECOND);
    assert_eq!(reads(&probe), 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_caller_has_gone_is_soon_seen() {
    let (store, probe) = cached(CountCacheConfig::default());
    count(&store, &bounded(5000)).await;
    probe.react([Reaction::Late(Duration::from_secs(1))]);
    let patience = 10 * MILLISECOND;
    assert!(timeout(patience, store.rsvp(&user(1_u64), &fair())).await.is_err());
    assert_eq!(count(&store, &bounded(5000)).await, Count::fresh(1));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_hangs_does_not_hold_up_counts() {
    let (store, probe) = cached(CountCacheConfig::default());
    count(&store, &bounded(5000)).await;
    probe.react([Reaction::Late(Duration::from_secs(3600))]);
    let (ann, fair) = (user(1_u64), fair());
    let mut hangs = Box::pin(store.rsvp(&ann, &fair));
    assert!(hangs.as_mut().now_or_never().is_none());
    advance(Duration::from_secs(6)).await;
    let began = Instant::now();
    assert_eq!(count(&store, &bounded(5000)).await.value, 1);
    assert!(began.elapsed() <= 51 * MILLISECOND, "{:?}", began.elapsed());
    // It is waited for a few times, and then no more often than the unsettled count is read.
    for n in 2..20_u64 {
        count(&store, &bounded(5000)).await;
        store.rsvp(&user(n), &fair).await.unwrap();
    }
    let began = Instant::now();
    for n in 20..60_u64 {
        count(&store, &bounded(5000)).await;
        store.rsvp(&user(n), &fair).await.unwrap();
    }
    assert!(began.elapsed() <= 51 * MILLISECOND, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_count_that_hangs_does_not_hold_up_writes() {
    let (store, probe) = cached(CountCacheConfig::default());
    count(&store, &bounded(5000)).await;
    advance(Duration::from_secs(6)).await;
    probe.react([Reaction::Late(Duration::from_secs(3600))]);
    let fair = fair();
    let mut hangs = Box::pin(store.rsvp_count(&fair));
    assert!(hangs.as_mut().now_or_never().is_none());
    let began = Instant::now();
    store.rsvp(&user(1_u64), &fair).await.unwrap();
    assert!(began.elapsed() <= 51 * MILLISECOND, "{:?}", began.elapsed());
    let other = event(2_u64);
    let began = Instant::now();
    store.rsvp(&user(1_u64), &other).await.unwrap();
    assert_eq!(store.rsvp_count(&other).await.unwrap().value, 1);
    assert_eq!(began.elapsed(), Duration::ZERO, "other events do not wait");
}

#[tokio::test(start_paused = true)]
async fn batches_that_meet_in_any_order_do_not_wait_for_each_other() {
    let (store, _probe) = cached(CountCacheConfig::default().with_max_age(MILLISECOND).unwrap());
    let events: Vec<_> = (0..8_u32).map(event).collect();
    let calls = (0..200_u32).map(|n| {
        let (store, mut events) = (store.clone(), events.clone());
        events.rotate_left(n as usize % 8);
        if n % 3 == 0 {
            events.reverse();
        }
        tokio::spawn(async move {
            for round in 0..5 {
                sleep(MILLISECOND).await;
                if n % 2 == 0 {
                    store.rsvp_counts(&events, &bounded(1)).await.unwrap();
                } else {
                    let of = |event| Write::rsvp(user(n * 10 + round), event);
                    let writes: Vec<_> = events.iter().cloned().map(of).collect();
                    store.write_batch(&writes).await.unwrap();
                }
            }
        })
    });
    let began = Instant::now();
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    assert!(began.elapsed() < 40 * MILLISECOND, "nobody lost patience: {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_old_count_is_served_while_the_store_is_down() {
    let (store, probe) = cached(stale_if_error());
    written_elsewhere(&probe, 1).await;
    count(&store, &bounded(5000)).await;
    advance(Duration::from_secs(30)).await;
    probe.asked();
    probe.react((0..3).map(|_| Reaction::Fail(down())));
    for (age, step) in [(30_000, 500), (30_500, 501), (31_001, 499), (31_500, 502), (32_002, 1)] {
        let old = count(&store, &bounded(5000)).await;
        assert_eq!((old.value, old.age), (1, age * MILLISECOND), "marked by its age");
        advance(step * MILLISECOND).await;
    }
    assert_eq!(reads(&probe), 3, "asked again once a second");
    advance(Duration::from_secs(1)).await;
    written_elsewhere(&probe, 2).await;
    assert_eq!(count(&store, &bounded(5000)).await, Count::fresh(2), "it is back");
}

#[tokio::test(start_paused = true)]
async fn an_old_count_has_a_bound_of_its_own() {
    let (store, probe) = cached(stale_if_error());
    count(&store, &bounded(5000)).await;
    advance(Duration::from_millis(60_001)).await;
    probe.react([Reaction::Fail(down())]);
    assert!(store.rsvp_count(&fair()).await.is_err());

    let (store, probe) = cached(stale_if_error());
    count(&store, &bounded(5000)).await;
    advance(Duration::from_secs(6)).await;
    probe.react([Reaction::Fail(Error::corrupt(Operation::RsvpCounts, "a negative count"))]);
    assert!(store.rsvp_count(&fair()).await.is_err(), "not for what needs repair");
    let (store, probe) = cached(CountCacheConfig::default());
    count(&store, &bounded(5000)).await;
    advance(Duration::from_secs(6)).await;
    probe.react([Reaction::Fail(down())]);
    assert!(store.rsvp_count(&fair()).await.is_err(), "not unless asked to");
}

#[tokio::test(start_paused = true)]
async fn too_few_counts_are_an_error() {
    let (store, probe) = cached(CountCacheConfig::default());
    probe.react([Reaction::TooFewAnswers]);
    let error = store.rsvp_counts(&[fair(), event(2_u64)], &bounded(5000)).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
}
