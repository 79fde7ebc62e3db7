//! One read, however many wait for it.

use std::sync::Arc;

use rsvp_core::layers::CountCacheConfig;
use rsvp_core::{Effect, Error, EventId, Operation, RsvpStoreExt};
use tokio::task::JoinSet;
use tokio::time::{Instant, advance, sleep};

use crate::count_cache::control::Point;
use crate::count_cache::{Cache, bounded, cache, count, event, ms, number, settle, user};
use crate::counts;

fn unavailable() -> Error {
    Error::unavailable(Operation::RsvpCount, Effect::NotApplied, None)
}

/// Callers who ask for counts of `events` and wait.
async fn ask(cache: &Arc<Cache>, callers: usize, events: &[EventId]) -> JoinSet<Vec<u64>> {
    let mut asking = JoinSet::new();
    for _ in 0..callers {
        let (cache, events) = (cache.clone(), events.to_vec());
        asking.spawn(async move {
            let counts = counts(&*cache, &events, bounded(5000)).await.unwrap();
            counts.into_iter().map(|count| count.value).collect()
        });
    }
    settle().await;
    asking
}

#[tokio::test(start_paused = true)]
async fn a_thousand_callers_share_one_read() {
    let (cache, inner) = cache(CountCacheConfig::default());
    inner.data().rsvp(&user(1), &event("fair")).await.unwrap();
    inner.reads.hold(Point::Before);
    let asking = ask(&cache, 1000, &[event("fair")]).await;
    inner.reads.release();
    assert_eq!(asking.join_all().await, vec![vec![1]; 1000]);
    assert_eq!(inner.reads(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_event_is_read_once_in_a_period() {
    let (cache, inner) = cache(CountCacheConfig::default().with_max_age(ms(100)));
    inner.reads.takes(ms(1));
    let mut callers = JoinSet::new();
    for caller in 0..20 {
        let cache = cache.clone();
        callers.spawn(async move {
            for _ in 0..300 {
                sleep(ms(1 + caller % 7)).await;
                assert!(count(&*cache, &event("fair"), 5000).await.unwrap().age <= ms(100));
            }
        });
    }
    let began = Instant::now();
    callers.join_all().await;
    let periods = began.elapsed().as_millis() / 100 + 1;
    assert!(inner.reads() as u128 <= periods, "{} in {periods} periods", inner.reads());
}

#[tokio::test(start_paused = true)]
async fn those_who_cannot_use_the_read_under_way_share_the_next_one() {
    let (cache, inner) = cache(CountCacheConfig::default());
    inner.reads.takes(ms(20));
    let mut callers = JoinSet::new();
    for n in 0..1000 {
        let cache = cache.clone();
        callers.spawn(async move {
            sleep(ms(n % 20)).await;
            number(&*cache, &event("fair"), 1).await
        });
    }
    let began = Instant::now();
    callers.join_all().await;
    assert_eq!((inner.reads(), began.elapsed()), (2, ms(40)));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_callers_share_one_error() {
    let (cache, inner) = cache(CountCacheConfig::default());
    inner.reads.takes(ms(1000));
    inner.reads.fail(Point::Before, unavailable());
    let began = Instant::now();
    let mut callers = JoinSet::new();
    for n in 0..1000 {
        let cache = cache.clone();
        callers.spawn(async move {
            sleep(ms(n % 900)).await;
            count(&*cache, &event("fair"), 5000).await.unwrap_err()
        });
    }
    for error in callers.join_all().await {
        assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    }
    assert_eq!((inner.reads(), began.elapsed()), (1, ms(1000)));
}

#[tokio::test(start_paused = true)]
async fn callers_of_batches_that_overlap_do_not_fail_one_after_another() {
    let (cache, inner) = cache(CountCacheConfig::default());
    inner.reads.takes(ms(1000));
    inner.reads.fail(Point::Before, unavailable());
    let began = Instant::now();
    let mut callers = JoinSet::new();
    for n in (0..100).rev() {
        let (cache, pair) =
            (cache.clone(), [event(format!("{n:03}")), event(format!("{:03}", n + 1))]);
        callers.spawn(async move { counts(&*cache, &pair, bounded(5000)).await.unwrap_err() });
    }
    callers.join_all().await;
    assert!(began.elapsed() <= ms(2000), "the last was answered after {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_one_event_keeps_nobody_from_another() {
    let (cache, inner) = cache(CountCacheConfig::default());
    inner.reads.hold(Point::Before);
    let hanging = ask(&cache, 1, &[event("b")]).await;
    let both = ask(&cache, 1, &[event("a"), event("b")]).await;
    assert_eq!(inner.reads(), 2, "the other event is read meanwhile");
    drop((hanging, both));
    settle().await;
    inner.reads.release();
    assert_eq!(number(&*cache, &event("a"), 5000).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_goes_away_takes_the_read_with_it_from_nobody() {
    let (cache, inner) = cache(CountCacheConfig::default());
    inner.reads.hold(Point::Before);
    let first = ask(&cache, 1, &[event("fair")]).await;
    let second = ask(&cache, 1, &[event("fair")]).await;
    let others = ask(&cache, 10, &[event("fair")]).await;
    drop(first);
    settle().await;
    drop(second);
    settle().await;
    assert_eq!(inner.reads(), 1);
    inner.reads.release();
    assert_eq!(others.join_all().await, vec![vec![0]; 10]);
    assert_eq!(inner.reads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_one_call_for_all_that_is_missing_in_order_with_repeats() {
    let (cache, inner) = cache(CountCacheConfig::default());
    let events: Vec<_> = (0..100).map(event).collect();
    for (n, event) in events.iter().enumerate() {
        for guest in 0..n % 10 {
            inner.data().rsvp(&user(guest), event).await.unwrap();
        }
    }
    counts(&*cache, &events[..50], bounded(100)).await.unwrap();
    advance(ms(50)).await;
    let mut asked: Vec<_> = events.iter().rev().cloned().collect();
    asked.extend(events.clone());
    let counts = counts(&*cache, &asked, bounded(100)).await.unwrap();
    let values: Vec<u64> = counts.iter().map(|count| count.value).collect();
    let expected: Vec<u64> = (0..100).rev().chain(0..100).map(|n| n % 10).collect();
    assert_eq!(values, expected);
    let log = inner.log();
    let mut read = log[1].0.clone();
    read.sort();
    let mut missing = events[50..].to_vec();
    missing.sort();
    assert_eq!((log.len(), read), (2, missing), "each missing event once");
    for (event, count) in asked.iter().zip(counts) {
        let known = events[..50].contains(event);
        assert_eq!(count.age, if known { ms(50) } else { ms(0) });
    }
}

#[tokio::test(start_paused = true)]
async fn batches_in_opposite_order_both_end() {
    let (cache, inner) = cache(CountCacheConfig::default().with_max_age(ms(5)));
    inner.reads.takes_about(ms(3));
    let mut callers = JoinSet::new();
    for caller in 0..50_u64 {
        let cache = cache.clone();
        callers.spawn(async move {
            for round in 0..20 {
                let mut events: Vec<_> = (0..10).map(|n| event((n * 7 + round) % 13)).collect();
                if caller % 2 == 0 {
                    events.reverse();
                }
                counts(&*cache, &events, bounded(1 + caller % 9)).await.unwrap();
            }
        });
    }
    callers.join_all().await;
}
