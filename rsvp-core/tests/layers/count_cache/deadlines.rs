//! Callers in a hurry, entries that fail, and a cache that is closed.

use std::sync::Arc;
use std::time::Duration;

use rsvp_core::layers::{CountCache, CountCacheConfig, LayerExt};
use rsvp_core::{
    Consistency, Count, Deadline, Error, EventId, ReadOptions, Result, RsvpStore, RsvpStoreExt,
    WriteOptions,
};
use tokio::task::JoinHandle;
use tokio::time::{Instant, advance};

use crate::count_cache::control::Point;
use crate::count_cache::{bounded, cache, event, ms, number, settle, user};
use crate::ends;
use crate::probe::Probe;

/// How long a read for all callers may take.
const REFRESH_TIMEOUT: u64 = 10_000;

/// How long it may take however short the patience of its caller is.
const SHORTEST_TIMEOUT: u64 = 250;

fn within(milliseconds: u64) -> ReadOptions {
    ReadOptions::from(bounded(5000)).with_timeout(ms(milliseconds))
}

/// A cache around a probe.
fn probed(config: CountCacheConfig) -> (Arc<CountCache<Arc<Probe>>>, Arc<Probe>) {
    let probe = Probe::new();
    (Arc::new(probe.clone().with_count_cache(config).unwrap()), probe)
}

fn ask<S: RsvpStore + 'static>(
    store: &Arc<S>,
    event: &EventId,
    options: impl Into<ReadOptions>,
) -> JoinHandle<Result<Count>> {
    let (store, event, options) = (store.clone(), event.clone(), options.into());
    tokio::spawn(async move { store.rsvp_count_with(&event, options).await })
}

fn waited(error: &Error) -> Duration {
    match error {
        Error::TimedOut { after, .. } => *after,
        error => panic!("{error}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_bounds_the_wait_while_counts_from_memory_are_answered() {
    for deaf in [false, true] {
        let (cache, probe) = probed(CountCacheConfig::default());
        let (fair, gala) = (event("fair"), event("gala"));
        cache.rsvp(&user("ann"), &fair).await.unwrap();
        number(&*cache, &fair, 5000).await;
        probe.asked();
        let events = [gala.clone(), fair.clone(), gala];
        if deaf {
            probe.shut()
        } else {
            probe.shut_until_the_deadline()
        }
        let (began, options) = (Instant::now(), within(100));
        let results = ends(cache.rsvp_count_batch(&events, &options)).await.unwrap();
        assert_eq!(began.elapsed(), ms(100));
        assert_eq!(results[1].as_ref().unwrap().value, 1);
        for at in [0, 2] {
            assert_eq!(waited(results[at].as_ref().unwrap_err()), ms(100));
        }
        let least = Deadline::at(began + ms(SHORTEST_TIMEOUT));
        assert_eq!(probe.deadlines(), [Some(least)], "the read is for all callers");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_the_read_of_another_beyond_a_deadline() {
    let (cache, inner) = cache(CountCacheConfig::default());
    let fair = event("fair");
    inner.reads.hold(Point::Before);
    let patient = ask(&cache, &fair, bounded(5000));
    settle().await;
    let (began, impatient) = (Instant::now(), ask(&cache, &fair, within(100)));
    let error = ends(impatient).await.unwrap().unwrap_err();
    assert_eq!((began.elapsed(), waited(&error)), (ms(100), ms(100)));
    inner.reads.release();
    assert_eq!(patient.await.unwrap().unwrap().value, 0);
    assert_eq!(inner.reads(), 1);
}

/// The caller in a hurry is the first one.
#[tokio::test(start_paused = true)]
async fn a_callers_deadline_fails_nobody_who_waits_for_the_read_and_ends_no_read() {
    for deaf in [false, true] {
        let (cache, probe) = probed(CountCacheConfig::default());
        let fair = event("fair");
        if deaf {
            probe.shut()
        } else {
            probe.shut_until_the_deadline()
        }
        let impatient = ask(&cache, &fair, within(100));
        settle().await;
        let patient: Vec<_> = (0..10).map(|_| ask(&cache, &fair, bounded(5000))).collect();
        ends(impatient).await.unwrap().unwrap_err();
        settle().await;
        probe.open();
        for call in patient {
            assert_eq!(call.await.unwrap().unwrap().value, 0);
        }
        assert_eq!(probe.batches(), [1], "one read for all");
    }
}

/// Of a store of shards one may hang, and at the deadline the others answer.
#[tokio::test(start_paused = true)]
async fn a_read_ends_with_its_caller_and_the_next_one_has_the_full_time() {
    for deaf in [false, true] {
        let (cache, probe) = probed(CountCacheConfig::default());
        let (fair, gala) = (event("fair"), event("gala"));
        if deaf {
            probe.shut()
        } else {
            probe.shut_until_the_deadline()
        }
        let (began, options) = (Instant::now(), within(500));
        let results =
            ends(cache.rsvp_count_batch(std::slice::from_ref(&fair), &options)).await.unwrap();
        assert!(matches!(results[0], Err(Error::TimedOut { .. })));
        assert_eq!(began.elapsed(), ms(if deaf { 750 } else { 500 }));
        assert_eq!(probe.deadlines(), [options.deadline], "the store is told of it");
        // The event that was late does not make another one late.
        let began = Instant::now();
        let next = ask(&cache, &fair, within(500));
        settle().await;
        let of_its_own = Deadline::at(began + ms(REFRESH_TIMEOUT));
        assert_eq!(probe.deadlines(), [Some(of_its_own)]);
        ends(next).await.unwrap().unwrap_err();
        assert_eq!(began.elapsed(), ms(500));
        probe.open();
        assert_eq!(number(&*cache, &fair, 5000).await, 0);
        assert_eq!(number(&*cache, &gala, 5000).await, 0);
        assert_eq!(probe.batches(), [1], "the late one has been answered");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_failed_is_read_apart_from_others() {
    let (cache, inner) = cache(CountCacheConfig::default());
    let events = ["ball", "fair", "gala"].map(event);
    inner.refuse(&events[1]);
    for _ in 0..2 {
        let results = cache.rsvp_count_batch(&events, &bounded(5000).into()).await.unwrap();
        assert_eq!(results.iter().filter(|result| result.is_err()).count(), 1);
        advance(ms(5001)).await;
    }
    let asked: Vec<_> = inner.log().into_iter().map(|(events, _)| events.len()).collect();
    assert_eq!(asked, [3, 2, 1]);
}

/// A store that does not keep its deadlines, either.
#[tokio::test(start_paused = true)]
async fn a_read_ends_by_itself_and_the_next_caller_reads_again() {
    for (deaf, longest) in [(false, REFRESH_TIMEOUT), (true, REFRESH_TIMEOUT + 250)] {
        let (cache, probe) = probed(CountCacheConfig::default());
        let fair = event("fair");
        if deaf {
            probe.shut()
        } else {
            probe.shut_until_the_deadline()
        }
        let began = Instant::now();
        let error = ends(cache.rsvp_count_with(&fair, bounded(5000))).await.unwrap_err();
        assert_eq!(began.elapsed(), ms(longest));
        assert!(matches!(error, Error::TimedOut { .. }), "{error}");
        probe.open();
        assert_eq!(number(&*cache, &fair, 5000).await, 0);
        assert_eq!(probe.batches(), [1, 1]);
    }
}

#[tokio::test(start_paused = true)]
async fn at_a_deadline_an_old_count_is_served_where_it_may_be() {
    let config = CountCacheConfig::default().with_max_age(ms(100));
    let (cache, probe) = probed(config.with_stale_if_error(ms(10_000)));
    let fair = event("fair");
    cache.rsvp(&user("ann"), &fair).await.unwrap();
    number(&*cache, &fair, 5000).await;
    advance(ms(500)).await;
    for deaf in [false, true] {
        if deaf {
            probe.shut()
        } else {
            probe.shut_until_the_deadline()
        }
        let began = Instant::now();
        let count = ends(cache.rsvp_count_with(&fair, within(200))).await.unwrap();
        assert_eq!(count.value, 1);
        assert!(count.age >= ms(500) && began.elapsed() <= ms(200), "{count:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_has_passed_refuses_what_memory_does_not_have() {
    let (cache, probe) = probed(CountCacheConfig::default());
    let (fair, gala) = (event("fair"), event("gala"));
    number(&*cache, &fair, 5000).await;
    let passed = ReadOptions::from(bounded(5000)).with_deadline(Deadline::at(Instant::now()));
    advance(ms(5)).await;
    assert_eq!(cache.rsvp_count_with(&fair, passed.clone()).await.unwrap().age, ms(5));
    let error = cache.rsvp_count_with(&gala, passed.clone()).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    let options = WriteOptions::default().with_deadline(Deadline::at(Instant::now()));
    cache.rsvp_with(&user("ann"), &fair, options).await.unwrap_err();
    assert!(!probe.store.table().has_rsvped(&user("ann"), &fair));
    assert_eq!(number(&*cache, &fair, 5000).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_write_waits_for_no_read_beyond_its_deadline() {
    let (cache, inner) = cache(CountCacheConfig::default());
    let fair = event("fair");
    inner.reads.hold(Point::Before);
    let reading = ask(&cache, &fair, bounded(5000));
    settle().await;
    let (began, options) = (Instant::now(), WriteOptions::default().with_timeout(ms(50)));
    ends(cache.rsvp_with(&user("ann"), &fair, options)).await.unwrap_err();
    assert_eq!(began.elapsed(), ms(50));
    inner.reads.release();
    assert_eq!(reading.await.unwrap().unwrap().value, 0);
}

#[tokio::test(start_paused = true)]
async fn of_a_batch_the_event_that_fails_fails_alone() {
    let (cache, inner) = cache(CountCacheConfig::default());
    let [fair, gala, ball] = ["fair", "gala", "ball"].map(event);
    inner.data().rsvp(&user("ann"), &fair).await.unwrap();
    inner.refuse(&gala);
    let events = [fair.clone(), gala.clone(), ball.clone(), gala.clone()];
    for _ in 0..2 {
        let results = cache.rsvp_count_batch(&events, &bounded(5000).into()).await.unwrap();
        let values: Vec<_> =
            results.into_iter().map(|result| result.ok().map(|it| it.value)).collect();
        assert_eq!(values, [Some(1), None, Some(0), None]);
    }
    let asked: Vec<_> = inner.log().into_iter().map(|(events, _)| events.len()).collect();
    assert_eq!(asked, [3, 1], "the others are in memory");
}

#[tokio::test(start_paused = true)]
async fn after_close_a_cached_count_is_refused() {
    let (cache, inner) = cache(CountCacheConfig::default());
    let fair = event("fair");
    number(&*cache, &fair, 5000).await;
    cache.close().await.unwrap();
    for level in [bounded(5000), Consistency::Eventual, Consistency::Strong] {
        let error = cache.rsvp_count_with(&fair, level).await.unwrap_err();
        assert!(matches!(error, Error::Closed { .. }), "{error}");
    }
    assert!(matches!(inner.ready().await, Err(Error::Closed { .. })), "the store inside is, too");
}
