//! A limit on what is kept, and nothing wrong because of it.

use std::sync::Arc;

use rsvp_core::layers::CountCacheConfig;
use rsvp_core::{EventId, RsvpStoreExt};
use tokio::task::JoinSet;

use crate::count_cache::control::Point;
use crate::count_cache::{Cache, bounded, cache, event, ms, number, settle, user};
use crate::counts;

const EVENTS: u64 = 1000;

fn room_for(events: u64) -> CountCacheConfig {
    CountCacheConfig::default().with_capacity(events)
}

/// How many entries there are, as `Debug` tells.
fn entries(cache: &Cache) -> u64 {
    let printed = format!("{cache:?}");
    let (_, after) = printed.split_once("entries: ").unwrap();
    after.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn with_room_for_a_few_of_a_thousand_events_all_counts_are_right() {
    for capacity in 1..=10 {
        let (cache, inner) = cache(room_for(capacity));
        let mut truth = vec![0; EVENTS as usize];
        for n in 0..3 * EVENTS {
            // Some events are hot, and stay.
            let at = if n % 3 == 0 { n % 4 } else { n * 7919 % EVENTS };
            let event = event(at);
            assert_eq!(number(&*cache, &event, 5000).await, truth[at as usize]);
            cache.rsvp(&user(n), &event).await.unwrap();
            truth[at as usize] += 1;
            assert_eq!(number(&*cache, &event, 5000).await, truth[at as usize]);
        }
        let events: Vec<EventId> = (0..EVENTS).map(event).collect();
        let counts = counts(&*cache, &events, bounded(5000)).await.unwrap();
        assert!(counts.iter().map(|count| count.value).eq(truth), "with room for {capacity}");
        assert!(inner.reads() > 100, "most were not in memory");
    }
}

#[tokio::test(start_paused = true)]
async fn entries_are_bounded() {
    for capacity in [1, 10, 1000] {
        let (cache, _) = cache(room_for(capacity));
        for n in 0..20_000 {
            number(&*cache, &event(n), 5000).await;
            if n % 100 == 0 {
                assert!(entries(&cache) <= capacity, "{} of {n}", entries(&cache));
            }
        }
        assert_eq!(entries(&cache), capacity);
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_asked_for_stays_among_many_that_are_asked_for_once() {
    let (cache, inner) = cache(room_for(100));
    let hot = event("hot");
    for n in 0..10_000 {
        number(&*cache, &hot, 5000).await;
        number(&*cache, &event(n), 5000).await;
    }
    assert_eq!(inner.reads(), 10_001);
}

/// The entry goes while its count is read and its event is written to.
#[tokio::test(start_paused = true)]
async fn an_event_that_is_dropped_while_it_is_read_loses_no_write() {
    let (cache, inner) = cache(room_for(2));
    let fair = event("fair");
    inner.reads.hold(Point::After);
    let ask = |of: EventId| {
        let cache = cache.clone();
        tokio::spawn(async move { number(&*cache, &of, 5000).await })
    };
    let reading = ask(fair.clone());
    settle().await;
    let others: Vec<_> = (0..50).map(|n| ask(event(n))).collect();
    settle().await;
    cache.rsvp(&user("ann"), &fair).await.unwrap();
    let again = ask(fair.clone());
    settle().await;
    inner.reads.release();
    assert_eq!(reading.await.unwrap(), 0, "it was asked before");
    assert_eq!(again.await.unwrap(), 1);
    for other in others {
        assert_eq!(other.await.unwrap(), 0);
    }
    assert_eq!(number(&*cache, &fair, 5000).await, 1);
    assert!(entries(&cache) <= 2);
}

/// The entry of the beginning of a write is not that of its end, which was read in between.
#[tokio::test(start_paused = true)]
async fn an_event_that_is_dropped_while_it_is_written_to_shows_the_write() {
    let (cache, inner) = cache(room_for(2));
    let fair = event("fair");
    number(&*cache, &fair, 5000).await;
    inner.writes.hold(Point::Before);
    let writing = tokio::spawn({
        let (cache, fair) = (cache.clone(), fair.clone());
        async move { cache.rsvp(&user("ann"), &fair).await.unwrap() }
    });
    settle().await;
    for n in 0..50 {
        number(&*cache, &event(n), 5000).await;
    }
    assert_eq!(number(&*cache, &fair, 5000).await, 0);
    assert_eq!(inner.reads(), 52, "it was dropped, and read again");
    inner.writes.release();
    writing.await.unwrap();
    assert_eq!(number(&*cache, &fair, 5000).await, 1);
}

#[tokio::test(start_paused = true)]
async fn what_fits_is_read_once() {
    let (cache, inner) = cache(room_for(EVENTS));
    for _ in 0..3 {
        for n in 0..EVENTS {
            number(&*cache, &event(n), 5000).await;
        }
    }
    assert_eq!(inner.reads() as u64, EVENTS);
}

/// Each task alone writes to its events, everybody reads them: entries come and go between the
/// beginning of a write, a read, and their ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn entries_that_come_and_go_among_readers_and_writers_lose_no_write() {
    let (cache, inner) = cache(room_for(3));
    inner.reads.takes_about(ms(1));
    inner.writes.takes_about(ms(1));
    let mut tasks = JoinSet::new();
    for task in 0..8_u64 {
        let cache = Arc::clone(&cache);
        tasks.spawn(async move {
            let mut truth = [0; 3];
            for n in 0..100_u64 {
                let at = n * (task + 1) % 3;
                let own = event(format!("{task}/{at}"));
                cache.rsvp(&user(n), &own).await.unwrap();
                truth[at as usize] += 1;
                let counted = number(&*cache, &own, 5000).await;
                assert_eq!(counted, truth[at as usize], "after write {n} of {task}");
                let others = event(format!("{}/{}", (task + n) % 8, n % 3));
                number(&*cache, &others, n % 3 * 100 + 1).await;
            }
        });
    }
    tasks.join_all().await;
}
