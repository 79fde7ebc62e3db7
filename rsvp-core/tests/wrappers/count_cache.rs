//! Counts from memory: how old, how often read, and with one's own writes in them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rsvp_core::{
    Consistency, Count, CountCache, CountCacheConfig, EventId, Operation, RsvpStore, RsvpStoreExt,
    SessionToken, Write,
};
use tokio::time::{advance, sleep};

use crate::probe::{Probe, Reaction};
use crate::{event, user};

pub(crate) type Cached = Arc<CountCache<Arc<Probe>>>;

pub(crate) const MILLISECOND: Duration = Duration::from_millis(1);

pub(crate) fn cached(config: CountCacheConfig) -> (Cached, Arc<Probe>) {
    let probe = Probe::new();
    (Arc::new(probe.clone().count_cached(config)), probe)
}

pub(crate) fn bounded(millis: u64) -> Consistency {
    Consistency::Bounded(Duration::from_millis(millis))
}

pub(crate) fn fair() -> EventId {
    event(1_u64)
}

/// What the cache says with that consistency.
pub(crate) async fn count(store: &impl RsvpStore, consistency: &Consistency) -> Count {
    store.rsvp_count_with(&fair(), consistency).await.unwrap()
}

/// How often the store was asked for counts since the probe was last asked.
pub(crate) fn reads(probe: &Probe) -> usize {
    let asked = probe.asked();
    asked.iter().filter(|asked| asked.operation == Operation::RsvpCounts).count()
}

/// Somebody else comes to the event.
pub(crate) async fn written_elsewhere(probe: &Probe, n: u32) {
    probe.store.rsvp(&user(1_000_000 + n), &fair()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_count_comes_from_memory_within_its_bound_and_never_beyond() {
    let (store, probe) = cached(CountCacheConfig::default());
    assert_eq!(count(&store, &bounded(5000)).await, Count::fresh(0));
    written_elsewhere(&probe, 1).await;
    advance(100 * MILLISECOND).await;
    let old = Count::aged(0, 100 * MILLISECOND);
    for bound in [100, 101, 5000, 3_600_000] {
        assert_eq!(count(&store, &bounded(bound)).await, old, "within {bound} ms");
    }
    assert_eq!(count(&store, &Consistency::Eventual).await, old);
    assert_eq!(reads(&probe), 1);
    assert_eq!(count(&store, &bounded(99)).await, Count::fresh(1), "not beyond");
    assert_eq!(reads(&probe), 1);
}

#[tokio::test(start_paused = true)]
async fn no_count_is_older_than_the_greatest_age_whatever_the_caller_would_take() {
    let config = CountCacheConfig::default().with_max_age(Duration::from_secs(2)).unwrap();
    let (store, probe) = cached(config);
    for consistency in [bounded(3_600_000), Consistency::Eventual] {
        let before = count(&store, &bounded(1)).await.value;
        advance(1999 * MILLISECOND).await;
        written_elsewhere(&probe, u32::try_from(before).unwrap()).await;
        assert_eq!(count(&store, &consistency).await.value, before);
        advance(2 * MILLISECOND).await;
        assert_eq!(count(&store, &consistency).await, Count::fresh(before + 1));
    }
}

#[tokio::test(start_paused = true)]
async fn what_memory_cannot_judge_goes_to_the_store() {
    let (store, probe) = cached(CountCacheConfig::default());
    count(&store, &bounded(5000)).await;
    let levels = [
        Consistency::Strong,
        Consistency::Session(SessionToken::new()),
        Consistency::Session(SessionToken::at(1, 1)),
        Consistency::Bounded(Duration::ZERO),
    ];
    for (n, level) in (1..).zip(levels) {
        written_elsewhere(&probe, n).await;
        probe.asked();
        assert_eq!(count(&store, &level).await, Count::fresh(u64::from(n)), "{level:?}");
        assert_eq!(probe.asked()[0].consistency, Some(level));
    }
}

#[tokio::test(start_paused = true)]
async fn memory_is_filled_by_strong_reads() {
    let (store, probe) = cached(CountCacheConfig::default());
    count(&store, &bounded(5000)).await;
    assert_eq!(probe.asked()[0].consistency, Some(Consistency::Strong));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_callers_cause_one_read() {
    let (store, probe) = cached(CountCacheConfig::default());
    for _ in 0..3 {
        probe.shut();
        let calls: Vec<_> = (0..1000)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move { store.rsvp_count(&fair()).await })
            })
            .collect();
        sleep(MILLISECOND).await;
        probe.open();
        for call in calls {
            assert_eq!(call.await.unwrap().unwrap().value, 0);
        }
        assert_eq!(reads(&probe), 1);
        advance(Duration::from_secs(6)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn callers_whose_bound_is_shorter_than_a_read_share_it_all_the_same() {
    let (store, probe) = cached(CountCacheConfig::default());
    probe.take(50);
    let calls: Vec<_> = (0..1000)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { count(&store, &bounded(1)).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), Count::fresh(0), "exact while the call ran");
    }
    assert!(reads(&probe) <= 2);
}

#[tokio::test(start_paused = true)]
async fn counts_of_many_events_are_one_call_for_those_that_are_missing() {
    let (store, probe) = cached(CountCacheConfig::default());
    for n in 0..50_u32 {
        for _ in 0..n % 4 {
            probe
                .store
                .rsvp(&user(probe.store.table().rsvp_count(&event(n))), &event(n))
                .await
                .unwrap();
        }
    }
    let asked: Vec<EventId> = [7_u32, 3, 7, 41, 3, 0].map(event).into();
    let expected = [3, 3, 3, 1, 3, 0];
    for _ in 0..2 {
        let counts = store.rsvp_counts(&asked, &bounded(5000)).await.unwrap();
        assert_eq!(counts.iter().map(|count| count.value).collect::<Vec<_>>(), expected);
    }
    assert_eq!(probe.batches(), [4], "each of the four events once");
    let more: Vec<EventId> = [7_u32, 8, 9].map(event).into();
    store.rsvp_counts(&more, &bounded(5000)).await.unwrap();
    assert_eq!(probe.batches(), [2], "those that were missing");
    assert!(store.rsvp_counts(&[], &bounded(5000)).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn ones_own_writes_show_without_a_read() {
    let (store, probe) = cached(CountCacheConfig::default());
    assert_eq!(count(&store, &bounded(5000)).await.value, 0);
    let rsvps: Vec<_> = (0..30_u32).map(|n| Write::rsvp(user(n % 20), fair())).collect();
    store.write_batch(&rsvps).await.unwrap();
    assert_eq!(count(&store, &bounded(5000)).await.value, 20, "duplicates count once");
    store.cancel(&user(3_u64), &fair()).await.unwrap();
    store.cancel(&user(3_u64), &fair()).await.unwrap();
    store.rsvp(&user(4_u64), &event(2_u64)).await.unwrap();
    assert_eq!(count(&store, &bounded(5000)).await.value, 19);
    assert_eq!(reads(&probe), 1);
    store.remove_event(&fair()).await.unwrap();
    assert_eq!(count(&store, &bounded(5000)).await.value, 0);
    assert_eq!(reads(&probe), 0, "nor after a removal, which says how many went");
    store.rsvp(&user(4_u64), &fair()).await.unwrap();
    store.remove_user(&user(4_u64)).await.unwrap();
    assert_eq!(count(&store, &bounded(5000)).await.value, 0);
}

#[tokio::test(start_paused = true)]
async fn a_write_does_not_make_a_count_younger() {
    let (store, probe) = cached(CountCacheConfig::default());
    count(&store, &bounded(5000)).await;
    written_elsewhere(&probe, 1).await;
    advance(4999 * MILLISECOND).await;
    store.rsvp(&user(1_u64), &fair()).await.unwrap();
    let both = Count::aged(1, 4999 * MILLISECOND);
    assert_eq!(count(&store, &bounded(5000)).await, both, "only one's own");
    advance(2 * MILLISECOND).await;
    assert_eq!(count(&store, &bounded(5000)).await, Count::fresh(2));
}

#[tokio::test(start_paused = true)]
async fn with_room_for_few_events_the_counts_of_many_are_right() {
    for capacity in [1, 7] {
        let (store, probe) = cached(CountCacheConfig::default().with_capacity(capacity).unwrap());
        let mut random = StdRng::seed_from_u64(capacity);
        let mut model = rsvp_testkit::Model::new();
        for _ in 0..2000 {
            let (who, what) =
                (user(random.random_range(0..5_u64)), event(random.random_range(0..100_u64)));
            let write = if random.random() {
                Write::rsvp(who, what.clone())
            } else {
                Write::cancel(who, what.clone())
            };
            model.write(&write);
            store.write_batch(&[write]).await.unwrap();
            let count = store.rsvp_count(&what).await.unwrap();
            assert_eq!(count.value, model.rsvp_count(&what));
        }
        assert!(reads(&probe) > 500, "not all fit");
    }
}

/// Writers and readers of one event over a store that takes its time: whoever asks sees what was
/// acknowledged before, and nobody sees what was not begun.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn among_many_writers_every_count_has_what_was_acknowledged_before() {
    let probe = Probe::new();
    probe.take(2);
    let period = Duration::from_millis(500);
    let config = CountCacheConfig::default().with_max_age(period).unwrap();
    let store = Arc::new(probe.clone().count_cached(config));
    let (begun, acknowledged) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let began = tokio::time::Instant::now();
    let writers = (0..16_u64).map(|writer| {
        let (store, begun, acknowledged) = (store.clone(), begun.clone(), acknowledged.clone());
        tokio::spawn(async move {
            for n in 0..300 {
                begun.fetch_add(1, Ordering::SeqCst);
                store.rsvp(&user(writer << 32 | n), &fair()).await.unwrap();
                acknowledged.fetch_add(1, Ordering::SeqCst);
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let readers = (0..8).map(|_| {
        let (store, begun, acknowledged) = (store.clone(), begun.clone(), acknowledged.clone());
        tokio::spawn(async move {
            while acknowledged.load(Ordering::SeqCst) < 16 * 300 {
                let before = acknowledged.load(Ordering::SeqCst);
                let count = store.rsvp_count(&fair()).await.unwrap().value;
                let after = begun.load(Ordering::SeqCst);
                assert!((before..=after).contains(&count), "{count} within {before} to {after}");
                tokio::task::yield_now().await;
            }
        })
    });
    join_all(readers.collect::<Vec<_>>()).await.into_iter().for_each(Result::unwrap);
    join_all(writers).await.into_iter().for_each(Result::unwrap);
    let periods = began.elapsed().as_secs_f64() / period.as_secs_f64();
    let reads = reads(&probe);
    println!("{reads} reads in {periods:.1} periods");
    // One for each period, and a few while the first writers are on their way.
    assert!(reads as f64 <= periods + 9.0, "{reads} reads in {periods} periods");
}

#[tokio::test(start_paused = true)]
async fn a_write_that_overlaps_a_read_is_never_counted_twice() {
    let (store, probe) = cached(CountCacheConfig::default());
    // Done at once, acknowledged late: so late that the reader does not wait for it.
    probe.react([Reaction::Late(Duration::from_millis(500))]);
    let write = {
        let store = store.clone();
        tokio::spawn(async move { store.rsvp(&user(1_u64), &fair()).await })
    };
    sleep(MILLISECOND).await;
    assert_eq!(count(&store, &bounded(5000)).await.value, 1, "it has taken effect already");
    write.await.unwrap().unwrap();
    assert_eq!(count(&store, &bounded(5000)).await.value, 1);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_over_before_the_read_that_missed_it_shows_next() {
    let (store, probe) = cached(CountCacheConfig::default());
    // Answered late: so late that the writer does not wait for it.
    probe.react([Reaction::Late(Duration::from_millis(500))]);
    let read = {
        let store = store.clone();
        tokio::spawn(async move { store.rsvp_count(&fair()).await })
    };
    sleep(MILLISECOND).await;
    store.rsvp(&user(1_u64), &fair()).await.unwrap();
    assert_eq!(read.await.unwrap().unwrap().value, 0, "it was read before");
    assert_eq!(count(&store, &bounded(5000)).await.value, 1);
}

#[test]
fn printing_shows_the_nest_and_what_is_out_of_bounds_is_refused() {
    let (store, _probe) = cached(CountCacheConfig::default());
    assert!(format!("{store:?}").starts_with("CountCache { store: Probe"), "{store:?}");
    let config = CountCacheConfig::default();
    assert!(config.with_max_age(Duration::ZERO).is_err());
    assert!(config.with_stale_if_error(Duration::from_secs(3601)).is_err());
    assert!(config.with_capacity(0).is_err() && config.with_capacity(10_000_001).is_err());
}
