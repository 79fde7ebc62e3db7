//! A count is read on a task of its own, for all who ask.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::task::noop_waker;
use rsvp_core::layers::{CountCache, CountCacheConfig, LayerExt};
use rsvp_core::{Error, ReadOptions, RsvpStore, RsvpStoreExt};
use rsvp_memory::MemoryStore;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::{Instant, advance, sleep, timeout};

use crate::count_cache::control::Point;
use crate::count_cache::{bounded, cache, count, event, ms, number, settle, user};
use crate::probe::{Probe, Reaction};

/// Callers who drop their calls, and callers with deadlines.
#[tokio::test(start_paused = true)]
async fn a_store_that_takes_longer_than_its_callers_wait_is_read_once_a_period() {
    for drops in [false, true] {
        let (cache, inner) = cache(CountCacheConfig::default());
        inner.reads.takes(ms(120));
        let mut callers = JoinSet::new();
        for n in 0..4000 {
            let cache = cache.clone();
            callers.spawn(async move {
                sleep(ms(n)).await;
                let fair = event("fair");
                let options = ReadOptions::from(bounded(5000));
                if drops {
                    let call = cache.rsvp_count_with(&fair, options);
                    return (n, timeout(ms(100), call).await.is_ok_and(|count| count.is_ok()));
                }
                let options = options.with_timeout(ms(100));
                (n, cache.rsvp_count_with(&fair, options).await.is_ok())
            });
        }
        let mut answered = callers.join_all().await;
        answered.sort_unstable();
        let late = answered.iter().filter(|(_, answered)| !answered).count();
        assert!(answered[21..].iter().all(|(_, answered)| *answered), "{late} were not answered");
        assert_eq!(inner.reads(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_read_for_callers_who_have_gone_serves_the_next_ones() {
    let (cache, inner) = cache(CountCacheConfig::default());
    inner.reads.takes(ms(120));
    timeout(ms(100), number(&*cache, &event("fair"), 5000)).await.unwrap_err();
    advance(ms(20)).await;
    settle().await;
    let began = Instant::now();
    assert_eq!(count(&*cache, &event("fair"), 5000).await.unwrap().age, ms(120));
    assert_eq!((began.elapsed(), inner.reads()), (ms(0), 1));
}

#[tokio::test(start_paused = true)]
async fn a_read_that_panics_fails_those_who_wait_and_nobody_else() {
    let probe = Probe::new();
    let cache = probe.clone().with_count_cache(CountCacheConfig::default()).unwrap();
    let cache = Arc::new(cache);
    probe.react([Reaction::Panic]);
    let mut callers = JoinSet::new();
    for _ in 0..10 {
        let cache = cache.clone();
        callers.spawn(async move { count(&*cache, &event("fair"), 5000).await });
    }
    for answer in callers.join_all().await {
        let error = answer.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }) && error.is_retryable(), "{error}");
    }
    assert_eq!(probe.batches(), [1], "they do not try one after another");
    assert_eq!(number(&*cache, &event("fair"), 5000).await, 0);
    cache.rsvp(&user("ann"), &event("fair")).await.unwrap();
    assert_eq!(number(&*cache, &event("fair"), 5000).await, 1);
}

#[test]
fn a_runtime_that_ends_fails_its_reads_and_leaves_the_next_one_to_others() {
    let probe = Probe::new();
    let cache = probe.clone().with_count_cache(CountCacheConfig::default()).unwrap();
    let cache = Arc::new(cache);
    let (first, second) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    probe.shut();
    let ask = |runtime: &Runtime| {
        let cache = cache.clone();
        runtime.spawn(async move { count(&*cache, &event("fair"), 5000).await })
    };
    let lost = ask(&first);
    let mut begun = 0;
    while begun == 0 {
        std::thread::yield_now();
        begun = probe.batches().len();
    }
    let waiting = ask(&second);
    drop(first);
    assert!(second.block_on(lost).is_err() || cache.get_ref().asked().is_empty());
    // It waited for the first, or came after it and waits for its own.
    probe.open();
    let waited = second.block_on(waiting).unwrap();
    if let Err(error) = &waited {
        assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    }
    assert_eq!(second.block_on(number(&*cache, &event("fair"), 5000)), 0);
    second.block_on(cache.rsvp(&user("ann"), &event("fair"))).unwrap();
    assert_eq!(second.block_on(number(&*cache, &event("fair"), 5000)), 1);
}

#[test]
fn without_a_runtime_the_caller_reads() {
    let cache = MemoryStore::new().with_count_cache(CountCacheConfig::default()).unwrap();
    let fair = event("fair");
    assert_eq!(number(&cache, &fair, 5000).now_or_never(), Some(0));
    cache.rsvp(&user("ann"), &fair).now_or_never().unwrap().unwrap();
    assert_eq!(number(&cache, &fair, 5000).now_or_never(), Some(1));
    let options = ReadOptions::from(bounded(5000)).with_timeout(ms(100));
    let gala = cache.rsvp_count_with(&event("gala"), options).now_or_never();
    assert_eq!(gala.unwrap().unwrap().value, 0);
    cache.remove_user(&user("ann")).now_or_never().unwrap().unwrap();
    assert_eq!(number(&cache, &fair, 5000).now_or_never(), Some(0));
    cache.close().now_or_never().unwrap().unwrap();
}

#[test]
fn without_a_runtime_a_caller_who_goes_away_is_replaced_by_one_who_waits() {
    let probe = Probe::new();
    let cache: CountCache<Arc<Probe>> =
        probe.clone().with_count_cache(CountCacheConfig::default()).unwrap();
    let (fair, ann) = (event("fair"), user("ann"));
    let waker = noop_waker();
    let mut context = std::task::Context::from_waker(&waker);
    probe.shut();
    let mut first = Box::pin(number(&cache, &fair, 5000));
    let mut second = Box::pin(number(&cache, &fair, 5000));
    let mut write = Box::pin(cache.rsvp(&ann, &fair));
    assert!(first.poll_unpin(&mut context).is_pending());
    assert!(second.poll_unpin(&mut context).is_pending());
    assert!(write.poll_unpin(&mut context).is_pending());
    drop((first, write));
    probe.open();
    assert!(second.poll_unpin(&mut context).is_ready());
    assert_eq!(number(&cache, &fair, 5000).now_or_never(), Some(0));
}

#[tokio::test(start_paused = true)]
async fn close_waits_for_the_reads_under_way() {
    let (cache, inner) = cache(CountCacheConfig::default());
    inner.reads.hold(Point::Before);
    let reading = tokio::spawn({
        let cache = cache.clone();
        async move { number(&*cache, &event("fair"), 5000).await }
    });
    settle().await;
    let closing = tokio::spawn({
        let cache = cache.clone();
        async move { cache.close().await }
    });
    settle().await;
    assert!(!closing.is_finished());
    let error = count(&*cache, &event("gala"), 5000).await.unwrap_err();
    assert!(matches!(error, Error::Closed { .. }), "{error}");
    inner.reads.release();
    assert_eq!(reading.await.unwrap(), 0);
    closing.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_reads_in_flight_are_bounded_and_further_ones_wait_in_their_callers() {
    const MOST: usize = 1024;
    let (cache, inner) = cache(CountCacheConfig::default());
    inner.reads.hold(Point::Before);
    let mut callers = JoinSet::new();
    for n in 0..3000 {
        let cache = cache.clone();
        callers.spawn(async move { number(&*cache, &event(n), 5000).await });
    }
    settle().await;
    assert_eq!(inner.reads(), MOST);
    // One who has gone is not read for.
    let gone = tokio::spawn({
        let cache = cache.clone();
        async move { number(&*cache, &event("gone"), 5000).await }
    });
    settle().await;
    gone.abort();
    inner.reads.release();
    assert_eq!(callers.join_all().await, vec![0; 3000]);
    assert_eq!(inner.reads(), 3000);
}
