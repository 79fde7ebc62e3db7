//! Events whose counts the store does not answer, as those of one shard that hangs.

use std::sync::Arc;

use futures_util::future::join_all;
use rsvp_core::layers::CountCacheConfig;
use rsvp_core::{
    Count, Deadline, Effect, Error, EventId, Operation, ReadOptions, Result, RsvpStore,
    RsvpStoreExt,
};
use tokio::task::JoinHandle;
use tokio::time::{Instant, advance, sleep};

use crate::count_cache::control::Point;
use crate::count_cache::inner::Inner;
use crate::count_cache::{Cache, bounded, cache, event, ms, settle};

const COUNT: Operation = Operation::RsvpCount;

/// More events than there is room for reads.
const FROZEN: u64 = 1_100;

/// The time in which a read that hangs gives its room up.
const HOLDS: u64 = 250;

/// The time for which a read hangs if there is no room for another slow one.
const LONGEST: u64 = 1_000;

fn frozen(events: u64) -> impl Iterator<Item = EventId> {
    (0..events).map(|n| event(format!("frozen-{n}")))
}

/// Asks for a count, with this patience.
fn ask(cache: &Arc<Cache>, event: EventId, patience: Option<u64>) -> JoinHandle<Result<Count>> {
    let (cache, mut options) = (cache.clone(), ReadOptions::from(bounded(5000)));
    options.deadline = patience.map(|patience| Deadline::after(ms(patience)));
    tokio::spawn(async move { cache.rsvp_count_with(&event, options).await })
}

/// Counts a hundred events that nobody has asked for, each in a call of its own.
async fn count_others(cache: &Arc<Cache>, round: u64, patience: Option<u64>) {
    let others = (0..100).map(|n| ask(cache, event(format!("other-{round}-{n}")), patience));
    for answer in join_all(others).await {
        answer.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn events_that_hang_leave_the_others_room_for_their_reads() {
    for patience in [None, Some(3000)] {
        let (cache, inner) = cache(CountCacheConfig::default());
        inner.freeze(frozen(FROZEN));
        // First the cache does not know that they hang.
        let hanging: Vec<_> = frozen(FROZEN).map(|event| ask(&cache, event, patience)).collect();
        settle().await;
        let began = Instant::now();
        count_others(&cache, 0, patience).await;
        assert!(began.elapsed() <= ms(HOLDS), "{:?}", began.elapsed());
        for answer in join_all(hanging).await {
            let error = answer.unwrap().unwrap_err();
            assert!(matches!(error, Error::TimedOut { .. }), "{error}");
        }
        // Then it does.
        let hanging: Vec<_> = frozen(FROZEN).map(|event| ask(&cache, event, patience)).collect();
        settle().await;
        let began = Instant::now();
        count_others(&cache, 1, patience).await;
        assert_eq!(began.elapsed(), ms(0));
        hanging.iter().for_each(JoinHandle::abort);
    }
}

/// A cache in which so many reads hang that there is no room for another slow one.
async fn full(config: CountCacheConfig) -> (Arc<Cache>, Arc<Inner>) {
    let (cache, inner) = cache(config);
    inner.freeze(frozen(10_000));
    for _ in 0..2 {
        let hanging: Vec<_> = frozen(8_192).map(|event| ask(&cache, event, Some(3000))).collect();
        join_all(hanging).await;
    }
    for event in frozen(8_192) {
        ask(&cache, event, None);
    }
    settle().await;
    (cache, inner)
}

#[tokio::test(start_paused = true)]
async fn an_event_with_a_failed_read_has_room_beside_those_that_hang() {
    let (cache, inner) = full(CountCacheConfig::default()).await;
    let gala = event("gala");
    inner.reads.fail_once(Point::Before, Error::unavailable(COUNT, Effect::NotApplied, None));
    let began = Instant::now();
    ask(&cache, gala.clone(), None).await.unwrap().unwrap_err();
    ask(&cache, gala, None).await.unwrap().unwrap();
    assert!(began.elapsed() <= ms(HOLDS), "{:?}", began.elapsed());
    // The failure may be that of an event that hangs.
    let (gala, hangs) = (event("expo"), event("frozen-9999"));
    let both = cache.rsvp_count_batch(&[gala.clone(), hangs], &bounded(5000).into()).await.unwrap();
    assert!(both.iter().all(|count| matches!(count, Err(Error::Overloaded { .. }))), "{both:?}");
    let began = Instant::now();
    ask(&cache, gala, None).await.unwrap().unwrap();
    assert!(began.elapsed() <= ms(HOLDS), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_slow_read_without_room_ends_after_a_second() {
    let (cache, _inner) = full(CountCacheConfig::default()).await;
    for _ in 0..2 {
        let began = Instant::now();
        let error = ask(&cache, event("frozen-9999"), None).await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Overloaded { .. }), "{error}");
        assert_eq!(began.elapsed(), ms(LONGEST));
    }
}

#[tokio::test(start_paused = true)]
async fn reads_that_hang_are_bounded_and_the_others_go_on() {
    let (cache, inner) = cache(CountCacheConfig::default());
    let events = 20_000;
    inner.freeze(frozen(events));
    let hanging: Vec<_> = frozen(events).map(|event| ask(&cache, event, None)).collect();
    // Some have no room, and more than one in a second is refused in its place.
    advance(ms(5000)).await;
    settle().await;
    assert!(inner.reads() <= 15_000, "{} reads", inner.reads());
    sleep(ms(30_000)).await;
    let (mut late, mut refused) = (0, 0);
    for call in hanging {
        match call.await.unwrap().unwrap_err() {
            Error::TimedOut { .. } => late += 1,
            Error::Overloaded { .. } => refused += 1,
            error => panic!("{error}"),
        }
    }
    println!("{late} were late, {refused} refused");
    assert!(late >= 8_192 && refused > 0);
    let began = Instant::now();
    count_others(&cache, 0, None).await;
    assert!(began.elapsed() <= ms(LONGEST), "{:?}", began.elapsed());
}
