//! While the store is down.

use std::sync::Arc;

use rsvp_core::layers::CountCacheConfig;
use rsvp_core::{Effect, Error, EventId, Operation, RsvpStore, RsvpStoreExt};
use tokio::task::JoinSet;
use tokio::time::{Instant, advance};

use crate::count_cache::control::Point;
use crate::count_cache::inner::Inner;
use crate::count_cache::{Cache, bounded, cache, count, event, ms, number, settle, user};

fn down() -> Error {
    Error::unavailable(Operation::RsvpCount, Effect::NotApplied, None)
}

/// A cache that has read a count of one, may serve it for ten seconds, and whose store is down.
async fn broken(error: Error) -> (Arc<Cache>, Arc<Inner>, EventId) {
    let config = CountCacheConfig::default().with_max_age(ms(100));
    let (cache, inner) = cache(config.with_stale_if_error(ms(10_000)));
    let fair = event("fair");
    cache.rsvp(&user("ann"), &fair).await.unwrap();
    number(&*cache, &fair, 5000).await;
    inner.reads.fail(Point::Before, error);
    (cache, inner, fair)
}

#[tokio::test(start_paused = true)]
async fn an_old_count_is_served_with_its_age_within_its_own_bound_and_not_beyond() {
    let (cache, _, fair) = broken(down()).await;
    let read_at = Instant::now();
    for age in [101, 102, 1000, 1100, 9000, 10_000] {
        advance(ms(age) - read_at.elapsed()).await;
        let old = count(&*cache, &fair, 50).await.unwrap();
        assert_eq!((old.value, old.age), (1, ms(age)));
    }
    advance(ms(1)).await;
    let error = count(&*cache, &fair, 50).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn without_the_setting_the_error_comes_through() {
    let (cache, inner) = cache(CountCacheConfig::default());
    let fair = event("fair");
    number(&*cache, &fair, 5000).await;
    inner.reads.fail(Point::Before, down());
    advance(ms(5000)).await;
    assert_eq!(number(&*cache, &fair, 5000).await, 0, "within the bound it is not asked");
    advance(ms(1)).await;
    for reads in 2..5 {
        count(&*cache, &fair, 5000).await.unwrap_err();
        assert_eq!(inner.reads(), reads, "each call tries");
    }
    inner.reads.heal();
    assert_eq!(number(&*cache, &fair, 5000).await, 0);
}

#[tokio::test(start_paused = true)]
async fn errors_that_are_not_worth_repeating_come_through() {
    let (cache, inner, fair) = broken(Error::corrupt(Operation::RsvpCount, "a hole")).await;
    advance(ms(101)).await;
    for _ in 0..3 {
        let error = count(&*cache, &fair, 5000).await.unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    }
    inner.reads.takes(ms(10));
    let mut waiters = JoinSet::new();
    for _ in 0..100 {
        let (cache, fair) = (cache.clone(), fair.clone());
        waiters.spawn(async move { count(&*cache, &fair, 5000).await });
    }
    for answer in waiters.join_all().await {
        assert!(matches!(answer, Err(Error::Corrupt { .. })), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_store_is_asked_again_once_a_second_and_its_return_is_seen() {
    let (cache, inner, fair) = broken(down()).await;
    advance(ms(101)).await;
    let before = inner.reads();
    for _ in 0..500 {
        assert_eq!(number(&*cache, &fair, 50).await, 1);
        advance(ms(10)).await;
    }
    assert_eq!(inner.reads() - before, 5, "in five seconds");
    inner.reads.heal();
    inner.data().rsvp(&user("bob"), &fair).await.unwrap();
    advance(ms(1000)).await;
    let new = count(&*cache, &fair, 50).await.unwrap();
    assert_eq!((new.value, new.age), (2, ms(0)));
    advance(ms(51)).await;
    assert_eq!(count(&*cache, &fair, 50).await.unwrap().age, ms(0), "all is as before");
}

/// Who waits for the attempt of another has an old count as well.
#[tokio::test(start_paused = true)]
async fn only_one_caller_a_second_waits_for_a_store_that_is_slow_to_fail() {
    let (cache, inner, fair) = broken(down()).await;
    advance(ms(101)).await;
    number(&*cache, &fair, 50).await;
    inner.reads.takes(ms(3000));
    advance(ms(1001)).await;
    let trying = tokio::spawn({
        let (cache, fair) = (cache.clone(), fair.clone());
        async move { number(&*cache, &fair, 50).await }
    });
    settle().await;
    let asked = Instant::now();
    for _ in 0..100 {
        assert_eq!(number(&*cache, &fair, 50).await, 1);
    }
    assert_eq!(asked.elapsed(), ms(0));
    assert_eq!(trying.await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_callers_share_one_failure_and_the_old_count() {
    let (cache, inner, fair) = broken(down()).await;
    advance(ms(101)).await;
    let reads = inner.reads();
    inner.reads.takes(ms(1000));
    let asked = Instant::now();
    let mut waiters = JoinSet::new();
    for _ in 0..1000 {
        let (cache, fair) = (cache.clone(), fair.clone());
        waiters.spawn(async move { count(&*cache, &fair, 50).await.unwrap() });
    }
    for old in waiters.join_all().await {
        assert_eq!((old.value, old.age), (1, ms(1101)));
    }
    assert_eq!((asked.elapsed(), inner.reads()), (ms(1000), reads + 1));
}

#[tokio::test(start_paused = true)]
async fn of_a_batch_the_count_that_was_never_read_fails_alone() {
    let (cache, _, fair) = broken(down()).await;
    advance(ms(101)).await;
    let events = [fair.clone(), event("never read"), fair.clone()];
    let results = cache.rsvp_count_batch(&events, &bounded(50).into()).await.unwrap();
    assert_eq!(results[0].as_ref().unwrap().value, 1);
    assert!(matches!(results[1], Err(Error::Unavailable { .. })), "{results:?}");
    assert_eq!(results[2].as_ref().unwrap().value, 1);
    assert_eq!(number(&*cache, &fair, 50).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_answers_too_little_is_corrupt() {
    let (cache, inner) = cache(CountCacheConfig::default());
    inner.answer_too_little();
    let error = count(&*cache, &event("fair"), 5000).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
}
