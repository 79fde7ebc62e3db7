//! Readers and writers wait for each other, but not for long.

use std::sync::Arc;

use rsvp_core::layers::CountCacheConfig;
use rsvp_core::{EventId, Receipt, Result, RsvpStoreExt, Write};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::count_cache::control::Point;
use crate::count_cache::inner::Inner;
use crate::count_cache::{Cache, bounded, cache, event, ms, number, settle, user};
use crate::{counts, write_all};

/// The longest that readers and writers wait for each other.
const PATIENCE: u64 = 250;

/// A write that is on its way for ten seconds.
async fn hanging_write(
    cache: &Arc<Cache>,
    inner: &Inner,
    event: &EventId,
) -> JoinHandle<Result<Receipt>> {
    inner.writes.takes(ms(10_000));
    let (cache, event) = (cache.clone(), event.clone());
    let hanging = tokio::spawn(async move { cache.rsvp(&user("ann"), &event).await });
    settle().await;
    hanging
}

#[tokio::test(start_paused = true)]
async fn a_write_that_hangs_holds_up_no_count_for_long() {
    let (cache, inner) = cache(CountCacheConfig::default());
    let events: Vec<_> = (0..20).map(event).collect();
    // So that the cache knows them.
    counts(&*cache, &events, bounded(1)).await.unwrap();
    tokio::time::advance(ms(10)).await;
    inner.writes.hold(Point::After);
    let mut writes = JoinSet::new();
    for event in events.clone() {
        let cache = cache.clone();
        writes.spawn(async move { cache.rsvp(&user("ann"), &event).await });
    }
    settle().await;
    let asked = Instant::now();
    let counts = counts(&*cache, &events, bounded(1)).await.unwrap();
    assert_eq!(asked.elapsed(), ms(PATIENCE));
    assert!(counts.iter().all(|count| count.value == 1));
    let asked = Instant::now();
    number(&*cache, &events[0], 5000).await;
    assert_eq!(asked.elapsed(), ms(0), "what was read meanwhile is kept");
}

#[tokio::test(start_paused = true)]
async fn a_read_that_hangs_holds_up_no_write_for_long() {
    let (cache, inner) = cache(CountCacheConfig::default());
    inner.reads.hold(Point::Before);
    let mut reads = JoinSet::new();
    for n in 0..20 {
        let cache = cache.clone();
        reads.spawn(async move { number(&*cache, &event(n), 5000).await });
    }
    settle().await;
    let began = Instant::now();
    let mut writers = JoinSet::new();
    for n in 0..100 {
        let cache = cache.clone();
        writers.spawn(async move {
            let writes: Vec<_> = (0..20).map(|at| Write::rsvp(user(n), event(at))).collect();
            write_all(&*cache, &writes).await.unwrap();
        });
    }
    writers.join_all().await;
    assert_eq!(began.elapsed(), ms(PATIENCE));
    cache.rsvp(&user("late"), &event(1)).await.unwrap();
    assert_eq!(began.elapsed(), ms(PATIENCE), "the same read holds up no write twice");
}

#[tokio::test(start_paused = true)]
async fn a_write_that_hangs_holds_up_no_other_write_for_long() {
    let (cache, inner) = cache(CountCacheConfig::default());
    let fair = event("fair");
    number(&*cache, &fair, 1).await;
    let hanging = hanging_write(&cache, &inner, &fair).await;
    inner.writes.takes(ms(0));
    tokio::time::advance(ms(10)).await;
    let reading = tokio::spawn({
        let (cache, fair) = (cache.clone(), fair.clone());
        async move { number(&*cache, &fair, 1).await }
    });
    settle().await;
    let began = Instant::now();
    cache.rsvp(&user("bob"), &fair).await.unwrap();
    assert!(began.elapsed() <= ms(PATIENCE), "{:?}", began.elapsed());
    reading.await.unwrap();
    hanging.await.unwrap().unwrap();
    assert_eq!(number(&*cache, &fair, 5000).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_hangs_holds_up_nobody_twice() {
    let (cache, inner) = cache(CountCacheConfig::default());
    let fair = event("fair");
    number(&*cache, &fair, 1).await;
    let hanging = hanging_write(&cache, &inner, &fair).await;
    inner.writes.takes(ms(5));
    tokio::time::advance(ms(PATIENCE + 1)).await;
    for n in 0..100 {
        let began = Instant::now();
        cache.rsvp(&user(n), &fair).await.unwrap();
        assert_eq!(began.elapsed(), ms(5), "write {n}");
        assert_eq!(number(&*cache, &fair, 1).await, n + 1);
        assert_eq!(began.elapsed(), ms(5), "count {n}");
    }
    assert!(!hanging.is_finished());
    hanging.await.unwrap().unwrap();
    assert_eq!(number(&*cache, &fair, 5000).await, 101);
}

#[tokio::test(start_paused = true)]
async fn readers_and_writers_of_a_hot_event_both_get_on() {
    let (cache, inner) = cache(CountCacheConfig::default());
    let fair = event("fair");
    inner.reads.takes(ms(5));
    inner.writes.takes(ms(5));
    let mut tasks = JoinSet::new();
    for task in 0..40 {
        let (cache, fair) = (cache.clone(), fair.clone());
        tasks.spawn(async move {
            let began = Instant::now();
            for n in 0..100 {
                if task % 2 == 0 {
                    number(&*cache, &fair, 1).await;
                } else {
                    cache.rsvp(&user(task * 1000 + n), &fair).await.unwrap();
                }
            }
            (task % 2, began.elapsed())
        });
    }
    let times = tasks.join_all().await;
    let slowest = |kind| times.iter().filter(|(of, _)| *of == kind).max().unwrap().1;
    let (reader, writer) = (slowest(0), slowest(1));
    println!("100 counts in {reader:?}, 100 writes in {writer:?}, {} reads", inner.reads());
    // Each waits for a round trip of the others, and then takes its own.
    assert!(reader.max(writer) <= ms(1100), "counts {reader:?}, writes {writer:?}");
    assert!(inner.reads() <= 110, "{} reads", inner.reads());
}

/// The read goes on without its caller.
#[tokio::test(start_paused = true)]
async fn a_dropped_read_holds_up_the_writers_no_longer_than_any_other() {
    let (cache, inner) = cache(CountCacheConfig::default());
    let fair = event("fair");
    inner.reads.takes(ms(20));
    let reading = tokio::spawn({
        let (cache, fair) = (cache.clone(), fair.clone());
        async move { number(&*cache, &fair, 5000).await }
    });
    settle().await;
    reading.abort();
    let began = Instant::now();
    cache.rsvp(&user("ann"), &fair).await.unwrap();
    assert_eq!(began.elapsed(), ms(20));
    inner.reads.hold(Point::Before);
    assert_eq!(number(&*cache, &fair, 5000).await, 1, "what it read is kept, with the write in it");
    assert_eq!((began.elapsed(), inner.reads()), (ms(20), 1));
}
