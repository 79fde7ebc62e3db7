//! Writes of which it is not known whether a count has them in it.

use std::sync::Arc;

use rsvp_core::layers::CountCacheConfig;
use rsvp_core::{
    Effect, Error, EventId, Operation, PageLimit, RsvpStore, RsvpStoreExt, Write, WriteOptions,
};
use tokio::task::JoinHandle;
use tokio::time::{Instant, advance, sleep};

use crate::count_cache::control::Point;
use crate::count_cache::inner::Inner;
use crate::count_cache::{Cache, cache, event, ms, number, settle, user};
use crate::write_all;

/// For so long a count is kept that is not settled: a twentieth of the greatest age.
const SHARE: u64 = 250;

fn failed(effect: Effect) -> Error {
    Error::unavailable(Operation::Write, effect, None)
}

fn rsvp(cache: &Arc<Cache>, name: &'static str, event: &EventId) -> JoinHandle<()> {
    let (cache, event) = (cache.clone(), event.clone());
    tokio::spawn(async move {
        cache.rsvp(&user(name), &event).await.unwrap();
    })
}

fn reader(cache: &Arc<Cache>, event: &EventId) -> JoinHandle<u64> {
    let (cache, event) = (cache.clone(), event.clone());
    tokio::spawn(async move { number(&*cache, &event, 5000).await })
}

/// A cache that knows that nobody is coming to the event.
async fn known() -> (Arc<Cache>, Arc<Inner>, EventId) {
    let (cache, inner) = cache(CountCacheConfig::default());
    let fair = event("fair");
    assert_eq!(number(&*cache, &fair, 5000).await, 0);
    (cache, inner, fair)
}

#[tokio::test(start_paused = true)]
async fn a_write_that_was_not_applied_changes_nothing() {
    let (cache, inner, fair) = known().await;
    inner.writes.fail(Point::Before, failed(Effect::NotApplied));
    cache.rsvp(&user("ann"), &fair).await.unwrap_err();
    cache.remove_event_step(&fair, PageLimit::MIN, &WriteOptions::default()).await.unwrap_err();
    cache
        .remove_user_step(&user("ann"), PageLimit::MIN, &WriteOptions::default())
        .await
        .unwrap_err();
    advance(ms(5000)).await;
    assert_eq!((number(&*cache, &fair, 5000).await, inner.reads()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn after_a_write_of_unknown_effect_the_count_is_soon_read_again() {
    for (point, truth) in [(Point::Before, 0), (Point::After, 1)] {
        let (cache, inner, fair) = known().await;
        inner.writes.fail(point, failed(Effect::Unknown));
        cache.rsvp(&user("ann"), &fair).await.unwrap_err();
        advance(ms(SHARE)).await;
        assert_eq!((number(&*cache, &fair, 5000).await, inner.reads()), (0, 1), "{point:?}");
        advance(ms(1)).await;
        assert_eq!((number(&*cache, &fair, 5000).await, inner.reads()), (truth, 2), "{point:?}");
        advance(ms(5000)).await;
        assert_eq!(inner.reads(), 2, "the new one is settled");
    }
}

#[tokio::test(start_paused = true)]
async fn a_repeated_write_shows_at_once() {
    for point in [Point::Before, Point::After] {
        let (cache, inner, fair) = known().await;
        inner.writes.fail(point, failed(Effect::Unknown));
        cache.rsvp(&user("ann"), &fair).await.unwrap_err();
        inner.writes.heal();
        cache.rsvp(&user("ann"), &fair).await.unwrap();
        assert_eq!(number(&*cache, &fair, 5000).await, 1, "failed {point:?} its effect");
        assert!(inner.reads() <= 2);
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_dropped_write_the_count_is_soon_read_again() {
    for (point, truth) in [(Point::Before, 0), (Point::After, 1)] {
        let (cache, inner, fair) = known().await;
        inner.writes.hold(point);
        let writing = rsvp(&cache, "ann", &fair);
        settle().await;
        writing.abort();
        settle().await;
        inner.writes.release();
        advance(ms(SHARE + 1)).await;
        assert_eq!((number(&*cache, &fair, 5000).await, inner.reads()), (truth, 2), "{point:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_after_one_of_unknown_effect_shows_at_once() {
    let (cache, inner, fair) = known().await;
    inner.writes.fail(Point::After, failed(Effect::Unknown));
    cache.rsvp(&user("ann"), &fair).await.unwrap_err();
    inner.writes.heal();
    cache.rsvp(&user("bob"), &fair).await.unwrap();
    assert_eq!((number(&*cache, &fair, 5000).await, inner.reads()), (2, 2));
    cache.cancel(&user("ann"), &fair).await.unwrap();
    assert_eq!((number(&*cache, &fair, 5000).await, inner.reads()), (1, 2));
}

/// The read has taken the write in, whose answer comes later.
#[tokio::test(start_paused = true)]
async fn a_write_that_is_in_the_count_already_is_not_counted_twice() {
    let (cache, inner) = cache(CountCacheConfig::default());
    let fair = event("fair");
    inner.writes.hold(Point::After);
    let writing = rsvp(&cache, "ann", &fair);
    settle().await;
    assert_eq!(number(&*cache, &fair, 5000).await, 1);
    inner.writes.release();
    writing.await.unwrap();
    assert_eq!(number(&*cache, &fair, 5000).await, 1);
}

/// The answer of the read is late, the write comes between: by its effect, and by its answer.
#[tokio::test(start_paused = true)]
async fn a_write_that_overlaps_a_read_shows_once_it_is_acknowledged() {
    for (point, read) in [(Point::Before, 1), (Point::After, 0)] {
        let (cache, inner) = cache(CountCacheConfig::default());
        let fair = event("fair");
        inner.reads.hold(point);
        let reading = reader(&cache, &fair);
        settle().await;
        rsvp(&cache, "ann", &fair).await.unwrap();
        inner.reads.release();
        assert_eq!(reading.await.unwrap(), read, "{point:?}");
        assert_eq!(number(&*cache, &fair, 5000).await, 1, "{point:?}");
        assert_eq!(inner.reads(), 2, "{point:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_whose_writes_cancel_out_is_not_seen_by_halves() {
    let (cache, inner) = cache(CountCacheConfig::default());
    let fair = event("fair");
    inner.data().rsvp(&user("bob"), &fair).await.unwrap();
    inner.writes.hold(Point::After);
    let writing = tokio::spawn({
        let (cache, fair) = (cache.clone(), fair.clone());
        async move {
            let writes = [Write::rsvp(user("ann"), fair.clone()), Write::cancel(user("bob"), fair)];
            write_all(&*cache, &writes).await.unwrap();
        }
    });
    settle().await;
    // As a store would answer that has done the first write only.
    inner.claim(&fair, 2);
    assert_eq!(number(&*cache, &fair, 5000).await, 2);
    inner.claim(&fair, 1);
    inner.writes.release();
    writing.await.unwrap();
    assert_eq!(number(&*cache, &fair, 5000).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_removal_of_unknown_effect_is_not_guessed_at() {
    let (cache, inner) = cache(CountCacheConfig::default());
    let fair = event("fair");
    for n in 0..3 {
        inner.data().rsvp(&user(n), &fair).await.unwrap();
    }
    number(&*cache, &fair, 5000).await;
    inner.writes.fail(Point::After, failed(Effect::Unknown));
    cache.remove_event(&fair).await.unwrap_err();
    advance(ms(SHARE + 1)).await;
    assert_eq!(number(&*cache, &fair, 5000).await, 0);
    inner.data().rsvp(&user(1), &fair).await.unwrap();
    inner.data().rsvp(&user(1), &event("gala")).await.unwrap();
    advance(ms(5001)).await;
    assert_eq!(number(&*cache, &fair, 5000).await, 1);
    cache.remove_user(&user(1)).await.unwrap_err();
    assert_eq!(number(&*cache, &fair, 5000).await, 0, "it may have changed any count");
}

#[tokio::test(start_paused = true)]
async fn a_removal_of_a_user_that_overlaps_a_read_is_seen_once_it_is_acknowledged() {
    let (cache, inner) = cache(CountCacheConfig::default());
    let fair = event("fair");
    inner.data().rsvp(&user(1), &fair).await.unwrap();
    inner.reads.hold(Point::After);
    let reading = reader(&cache, &fair);
    settle().await;
    cache.remove_user(&user(1)).await.unwrap();
    inner.reads.release();
    assert_eq!(reading.await.unwrap(), 1, "it was asked before");
    assert_eq!(number(&*cache, &fair, 5000).await, 0);
}

/// Fifty writers and fifty readers of one event, each at its own pace, for four periods.
#[tokio::test(start_paused = true)]
async fn writes_that_take_as_long_as_they_may_cost_no_more_reads_than_periods() {
    let (cache, inner) = cache(CountCacheConfig::default());
    let fair = event("fair");
    inner.reads.takes(ms(5));
    inner.writes.takes(ms(50));
    inner.writes.takes_about(ms(50));
    let mut calls = tokio::task::JoinSet::new();
    let end = Instant::now() + ms(20_000);
    for caller in 0..50_u64 {
        let (writing, reading, fair) = (cache.clone(), cache.clone(), fair.clone());
        let read = fair.clone();
        calls.spawn(async move {
            sleep(ms(caller * 3)).await;
            for n in 0.. {
                if Instant::now() >= end {
                    return n;
                }
                writing.rsvp(&user(caller * 10_000 + n), &fair).await.unwrap();
            }
            0
        });
        calls.spawn(async move {
            while Instant::now() < end {
                number(&*reading, &read, 5000).await;
                sleep(ms(10)).await;
            }
            0
        });
    }
    let written: u64 = calls.join_all().await.into_iter().sum();
    assert!(inner.reads() <= 5, "{} reads in four periods", inner.reads());
    assert!(written > 8_000, "{written} writes of 100 ms from fifty writers in 20 s");
}

/// With a store that takes longer than readers and writers wait for each other.
#[tokio::test(start_paused = true)]
async fn writers_of_a_slow_store_see_their_own_writes() {
    let (cache, inner) = cache(CountCacheConfig::default());
    let fair = event("fair");
    inner.writes.takes_about(ms(700));
    inner.reads.takes_about(ms(700));
    let mut writers = tokio::task::JoinSet::new();
    let acknowledged = Arc::new(std::sync::atomic::AtomicU64::new(0));
    for writer in 0..10_u64 {
        let (cache, fair, acknowledged) = (cache.clone(), fair.clone(), acknowledged.clone());
        writers.spawn(async move {
            for n in 0..20_u64 {
                sleep(ms((writer * 37 + n * 11) % 50)).await;
                cache.rsvp(&user(writer * 1000 + n), &fair).await.unwrap();
                let before = 1 + acknowledged.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                let counted = number(&*cache, &fair, 5000).await;
                assert!((before..=200).contains(&counted), "{counted} after {before}");
            }
        });
    }
    writers.join_all().await;
    assert_eq!(number(&*cache, &fair, 5000).await, 200);
}
