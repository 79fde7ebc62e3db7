//! Within the bound from memory, never beyond.

use rsvp_core::layers::CountCacheConfig;
use rsvp_core::{Consistency, RsvpStoreExt, SessionToken};
use tokio::time::advance;

use crate::count_cache::{bounded, cache, count, event, ms, number, user};
use crate::counts;

#[tokio::test(start_paused = true)]
async fn a_count_is_answered_from_memory_within_the_bound_and_never_beyond() {
    for bound in [1, 2, 20, 999, 5000] {
        let (cache, inner) = cache(CountCacheConfig::default());
        let fair = event("fair");
        assert_eq!(number(&*cache, &fair, bound).await, 0);
        inner.data().rsvp(&user(1), &fair).await.unwrap();
        advance(ms(bound)).await;
        let old = count(&*cache, &fair, bound).await.unwrap();
        assert_eq!((old.value, old.age, inner.reads()), (0, ms(bound), 1), "at {bound} ms");
        advance(ms(1)).await;
        let new = count(&*cache, &fair, bound).await.unwrap();
        assert_eq!((new.value, new.age, inner.reads()), (1, ms(0), 2), "after {bound} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn each_question_has_its_own_bound() {
    let (cache, inner) = cache(CountCacheConfig::default());
    let fair = event("fair");
    number(&*cache, &fair, 100).await;
    for (step, bound, age, reads) in [
        (30, 30, 30, 1),
        (0, 1000, 30, 1),
        (0, 29, 0, 2),
        // The value that the shorter bound brought serves the longer ones.
        (10, 10, 10, 2),
        (60, 1000, 70, 2),
        (0, 70, 70, 2),
        (1, 70, 0, 3),
        (4999, 5000, 4999, 3),
        (1, 4999, 0, 4),
    ] {
        advance(ms(step)).await;
        let count = count(&*cache, &fair, bound).await.unwrap();
        assert_eq!((count.age, inner.reads()), (ms(age), reads), "{step} ms later within {bound}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_greatest_age_caps_larger_bounds_and_eventual() {
    let config = CountCacheConfig::default().with_max_age(ms(100));
    for level in
        [bounded(5000), Consistency::Bounded(std::time::Duration::MAX), Consistency::Eventual]
    {
        let (cache, inner) = cache(config);
        let fair = event("fair");
        for (step, age, reads) in [(0, 0, 1), (100, 100, 1), (1, 0, 2)] {
            advance(ms(step)).await;
            let count = cache.rsvp_count_with(&fair, level.clone()).await.unwrap();
            assert_eq!((count.age, inner.reads()), (ms(age), reads), "{level:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_age_is_told_from_when_the_read_began_and_grows() {
    let (cache, inner) = cache(CountCacheConfig::default());
    let fair = event("fair");
    inner.reads.takes(ms(7));
    assert_eq!(count(&*cache, &fair, 500).await.unwrap().age, ms(0));
    for step in 1..=50 {
        advance(ms(3)).await;
        assert_eq!(count(&*cache, &fair, 500).await.unwrap().age, ms(7 + 3 * step));
    }
}

#[tokio::test(start_paused = true)]
async fn strong_session_and_a_bound_of_nothing_go_to_the_store() {
    let (cache, inner) = cache(CountCacheConfig::default());
    let fair = event("fair");
    number(&*cache, &fair, 5000).await;
    let levels = [Consistency::Strong, bounded(0), Consistency::Session(SessionToken::new())];
    for (n, level) in levels.into_iter().enumerate() {
        inner.data().rsvp(&user(n), &fair).await.unwrap();
        let count = cache.rsvp_count_with(&fair, level.clone()).await.unwrap();
        assert_eq!((count.value, count.age), (n as u64 + 1, ms(0)), "{level:?}");
        assert_eq!(inner.log().pop(), Some((vec![fair.clone()], level)), "asked as it was");
    }
}

#[tokio::test(start_paused = true)]
async fn a_count_for_memory_is_read_strongly() {
    let (cache, inner) = cache(CountCacheConfig::default());
    number(&*cache, &event("fair"), 5000).await;
    assert_eq!(inner.log(), [(vec![event("fair")], Consistency::Strong)]);
}

#[tokio::test(start_paused = true)]
async fn no_events_are_no_question() {
    let (cache, inner) = cache(CountCacheConfig::default());
    assert_eq!(counts(&*cache, &[], bounded(5)).await.unwrap(), []);
    assert_eq!(inner.reads(), 0);
}
