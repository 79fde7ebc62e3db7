//! How old counts are, measured.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rsvp_core::layers::{CountCacheConfig, LayerExt};
use rsvp_core::{Consistency, RsvpStore, RsvpStoreExt};
use rsvp_testkit::staleness::measure;
use tokio::time::{Instant, advance};

use crate::count_cache::inner::Inner;
use crate::count_cache::{event, ms, user};

/// Two processes' worth of caches on one store.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_million_counts_none_is_older_than_its_bound() {
    let inner = Arc::new(Inner::default());
    let inners = [inner.peer(), inner];
    for inner in &inners {
        inner.reads.takes_about(ms(1));
    }
    let cached = |inner: &Arc<Inner>| -> Arc<dyn RsvpStore> {
        Arc::new(inner.clone().with_count_cache(CountCacheConfig::default()).unwrap())
    };
    let stores = [cached(&inners[0]), cached(&inners[1])];
    let measured = measure(stores, &[5, 20, 100].map(ms), 1_000_000).await;
    let reads = inners[0].reads() + inners[1].reads();
    println!("{measured}; {reads} reads of the store");
    assert_eq!(measured.reads, 1_000_000);
    assert!(reads < 100_000, "{reads} reads of the store for {} counts", measured.reads);
}

/// On a clock that stands still while a call is made, a count is known exactly: what had been written
/// through either cache when it was read, and what has been written through its own since.
#[tokio::test(start_paused = true)]
async fn of_a_million_counts_each_is_what_it_was_at_its_age() {
    const BOUNDS: [u64; 5] = [1, 5, 20, 100, 5000];
    let seed = rsvp_testkit::seed();
    println!("{}={seed}", rsvp_testkit::SEED_VARIABLE);
    let mut random = StdRng::seed_from_u64(seed);
    let inner = Arc::new(Inner::default());
    let inners = [inner.peer(), inner];
    let caches =
        inners.clone().map(|inner| inner.with_count_cache(CountCacheConfig::default()).unwrap());
    // An event for each bound, so that short ones do not keep the others fresh; and for each, when a
    // write through each cache was acknowledged.
    let events = BOUNDS.map(event);
    let mut written: [[Vec<Instant>; 2]; BOUNDS.len()] = Default::default();
    let mut oldest = BOUNDS.map(|_| Duration::ZERO);
    for call in 0..1_000_000_u32 {
        // No two calls are made at one moment.
        advance(Duration::from_micros(random.random_range(1..400))).await;
        let (own, at) = (random.random_range(0..2), random.random_range(0..BOUNDS.len()));
        if random.random_bool(0.05) {
            caches[own].rsvp(&user(call), &events[at]).await.unwrap();
            written[at][own].push(Instant::now());
            advance(Duration::from_micros(1)).await;
        }
        let (bound, own) = (ms(BOUNDS[at]), random.random_range(0..2));
        let bounded = Consistency::Bounded(bound);
        let count = caches[own].rsvp_count_with(&events[at], bounded).await.unwrap();
        assert!(count.age <= bound, "{count:?} within {bound:?}");
        let read_at = Instant::now() - count.age;
        let others = &written[at][1 - own];
        let seen = others.partition_point(|written| *written <= read_at);
        assert_eq!(count.value as usize, seen + written[at][own].len(), "{count:?} in call {call}");
        if let Some(missed) = others.get(seen) {
            oldest[at] = oldest[at].max(missed.elapsed());
        }
    }
    let reads = inners[0].reads() + inners[1].reads();
    println!("within {BOUNDS:?} ms the oldest was {oldest:?} old; {reads} reads of the store");
    for (bound, oldest) in BOUNDS.into_iter().zip(oldest) {
        assert!(oldest <= ms(bound), "{oldest:?} within {bound} ms");
        assert!(
            oldest > ms(bound) / 2,
            "{oldest:?} within {bound} ms: nothing was put to the test"
        );
    }
}
