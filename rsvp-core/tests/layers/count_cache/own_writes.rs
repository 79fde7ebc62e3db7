//! What is written through the cache shows in the next count.

use std::sync::Arc;

use rsvp_core::layers::{CountCacheConfig, LayerExt, RetryConfig, Shard, ShardedStore};
use rsvp_core::{
    Effect, Error, Operation, Outcome, PageLimit, RsvpStore, RsvpStoreExt, Write, WriteOptions,
};
use tokio::time::advance;

use crate::count_cache::control::Point;
use crate::count_cache::inner::Inner;
use crate::count_cache::{bounded, cache, count, event, ms, number, user};
use crate::{counts, write_all};

#[tokio::test(start_paused = true)]
async fn ones_own_writes_show_in_the_next_count_without_a_read() {
    let (cache, inner) = cache(CountCacheConfig::default());
    let fair = event("fair");
    number(&*cache, &fair, 5000).await;
    for n in 1..=50 {
        cache.rsvp(&user(n), &fair).await.unwrap();
        assert_eq!(number(&*cache, &fair, 5000).await, n);
    }
    for n in (0..50).rev() {
        cache.cancel(&user(n + 1), &fair).await.unwrap();
        assert_eq!(number(&*cache, &fair, 5000).await, n);
    }
    assert_eq!(inner.reads(), 1);
}

#[tokio::test(start_paused = true)]
async fn ones_own_writes_make_a_count_no_younger() {
    let (cache, inner) = cache(CountCacheConfig::default());
    let fair = event("fair");
    number(&*cache, &fair, 5000).await;
    for age in [1000, 2000, 3000, 4000, 5000] {
        advance(ms(1000)).await;
        inner.data().rsvp(&user(age), &fair).await.unwrap();
        cache.rsvp(&user("own"), &fair).await.unwrap();
        let count = count(&*cache, &fair, 5000).await.unwrap();
        assert_eq!((count.value, count.age), (1, ms(age)));
    }
    advance(ms(1)).await;
    assert_eq!(number(&*cache, &fair, 5000).await, 6);
}

#[tokio::test(start_paused = true)]
async fn what_was_unchanged_moves_no_count() {
    let (cache, inner) = cache(CountCacheConfig::default());
    let fair = event("fair");
    number(&*cache, &fair, 5000).await;
    cache.rsvp(&user("ann"), &fair).await.unwrap();
    for _ in 0..3 {
        let receipt = cache.rsvp(&user("ann"), &fair).await.unwrap();
        assert_eq!(receipt.outcome, Outcome::Unchanged);
        let receipt = cache.cancel(&user("bob"), &fair).await.unwrap();
        assert_eq!(receipt.outcome, Outcome::Unchanged);
        assert_eq!(number(&*cache, &fair, 5000).await, 1);
    }
    assert_eq!(inner.reads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_batch_moves_each_of_its_events_by_what_was_applied() {
    let (cache, inner) = cache(CountCacheConfig::default());
    let (fair, gala, ball) = (event("fair"), event("gala"), event("ball"));
    let events = [fair.clone(), gala.clone(), ball.clone()];
    inner.data().rsvp(&user("old"), &gala).await.unwrap();
    counts(&*cache, &events[..2], bounded(5000)).await.unwrap();
    let writes = [
        Write::rsvp(user("ann"), fair.clone()),
        Write::rsvp(user("ann"), gala.clone()),
        // A duplicate, and one that takes another back.
        Write::rsvp(user("ann"), fair.clone()),
        Write::rsvp(user("bob"), fair.clone()),
        Write::cancel(user("bob"), fair.clone()),
        Write::cancel(user("old"), gala.clone()),
        Write::cancel(user("old"), gala.clone()),
        Write::rsvp(user("bob"), ball.clone()),
        Write::rsvp(user("eve"), fair.clone()),
    ];
    write_all(&*cache, &writes).await.unwrap();
    assert_eq!(inner.reads(), 1);
    for (event, expected, reads) in [(&fair, 2, 1), (&gala, 1, 1), (&ball, 1, 2)] {
        assert_eq!(number(&*cache, event, 5000).await, expected, "{event:?}");
        assert_eq!(inner.reads(), reads, "only the unknown one is read");
    }
}

/// Through another cache, on the same data.
#[tokio::test(start_paused = true)]
async fn ones_own_writes_show_also_where_others_have_written_what_is_not_in_the_count() {
    let (cache, inner) = cache(CountCacheConfig::default());
    let fair = event("fair");
    number(&*cache, &fair, 5000).await;
    inner.data().rsvp(&user("ann"), &fair).await.unwrap();
    cache.cancel(&user("ann"), &fair).await.unwrap();
    cache.rsvp(&user("bob"), &fair).await.unwrap();
    assert_eq!(number(&*cache, &fair, 5000).await, 1);
    assert_eq!(inner.reads(), 2, "what was below zero is read again");
}

#[tokio::test(start_paused = true)]
async fn a_removed_event_counts_nobody_step_by_step() {
    let (cache, inner) = cache(CountCacheConfig::default());
    let fair = event("fair");
    for n in 0..7 {
        inner.data().rsvp(&user(n), &fair).await.unwrap();
    }
    number(&*cache, &fair, 5000).await;
    for (step, left) in (1..).zip([4, 1, 0, 0]) {
        cache
            .remove_event_step(&fair, PageLimit::new(3).unwrap(), &WriteOptions::default())
            .await
            .unwrap();
        for _ in 0..3 {
            assert_eq!(number(&*cache, &fair, 5000).await, left);
        }
        assert_eq!(inner.reads(), 1 + step, "once after each step");
    }
}

#[tokio::test(start_paused = true)]
async fn a_removed_user_is_counted_nowhere() {
    let (cache, inner) = cache(CountCacheConfig::default());
    let events: Vec<_> = (0..10).map(event).collect();
    for event in &events {
        inner.data().rsvp(&user("ann"), event).await.unwrap();
        inner.data().rsvp(&user("bob"), event).await.unwrap();
        number(&*cache, event, 5000).await;
    }
    cache.remove_user(&user("ann")).await.unwrap();
    for event in &events {
        assert_eq!(number(&*cache, event, 5000).await, 1);
    }
}

/// The first try takes effect, and its answer is lost.
#[tokio::test(start_paused = true)]
async fn what_is_removed_is_not_counted_where_a_store_inside_repeats_steps() {
    let inner = Arc::new(Inner::default());
    let cache = inner.clone().with_retry(RetryConfig::default()).unwrap();
    let cache = cache.with_count_cache(CountCacheConfig::default()).unwrap();
    let (fair, gala) = (event("fair"), event("gala"));
    for n in 0..5 {
        inner.data().rsvp(&user(n), &fair).await.unwrap();
        inner.data().rsvp(&user(n), &gala).await.unwrap();
    }
    assert_eq!(number(&cache, &fair, 5000).await, 5);
    let lost = Error::unavailable(Operation::RemoveEvent, Effect::Unknown, None);
    inner.writes.fail_once(Point::After, lost.clone());
    let step = cache
        .remove_event_step(&fair, PageLimit::new(2).unwrap(), &WriteOptions::default())
        .await
        .unwrap();
    assert_eq!((step.removed, step.more), (2, true), "of four that are gone");
    assert_eq!(number(&cache, &fair, 5000).await, 1);
    inner.writes.fail_once(Point::After, lost.clone());
    assert_eq!(cache.remove_event(&fair).await.unwrap().removed, 0, "of one that is gone");
    assert_eq!(number(&cache, &fair, 5000).await, 0);

    assert_eq!(number(&cache, &gala, 5000).await, 5);
    inner.writes.fail_once(Point::After, lost);
    assert_eq!(cache.remove_user(&user(1)).await.unwrap().removed, 0, "of one that is gone");
    assert_eq!(number(&cache, &gala, 5000).await, 4);
}

#[tokio::test(start_paused = true)]
async fn what_is_removed_is_not_counted_where_a_shard_inside_fails() {
    let shards = [(); 2].map(|()| Arc::new(Inner::default()));
    let named = shards.iter().zip(["a", "b"]);
    let named = named.map(|(inner, name)| Shard::new(name, inner.clone()));
    let cache =
        ShardedStore::new(named, 2).unwrap().with_count_cache(CountCacheConfig::default()).unwrap();
    let fair = event("fair");
    for n in 0..100 {
        cache.rsvp(&user(n), &fair).await.unwrap();
    }
    assert_eq!(number(&cache, &fair, 5000).await, 100);
    let last = cache.get_ref().shards().last().unwrap().get_ref();
    let failed = |effect| Error::unavailable(Operation::RemoveEvent, effect, None);
    let (limit, options) = (PageLimit::MAX, WriteOptions::default());
    last.writes.fail_once(Point::Before, failed(Effect::NotApplied));
    let step = cache.remove_event_step(&fair, limit, &options).await.unwrap();
    assert!(step.more);
    let left = 100 - step.removed;
    assert_eq!(number(&cache, &fair, 5000).await, left, "of the shard that refused it");

    last.writes.fail_once(Point::After, failed(Effect::Unknown));
    let error = cache.remove_event_step(&fair, limit, &options).await.unwrap_err();
    assert_eq!(error.effect(), Effect::Unknown, "{error}");
    // A count whose change is not known is soon read again.
    advance(ms(251)).await;
    assert_eq!(number(&cache, &fair, 5000).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_count_is_never_below_zero_nor_too_large_to_move() {
    let (cache, inner) = cache(CountCacheConfig::default());
    for (claimed, expected) in [(0, 0), (u64::MAX, i64::MAX as u64)] {
        let event = event(claimed);
        inner.data().rsvp(&user("ann"), &event).await.unwrap();
        inner.claim(&event, claimed);
        number(&*cache, &event, 5000).await;
        cache.rsvp(&user("bob"), &event).await.unwrap();
        cache.rsvp(&user("eve"), &event).await.unwrap();
        for guest in ["ann", "bob", "eve"] {
            cache.cancel(&user(guest), &event).await.unwrap();
        }
        let counted = number(&*cache, &event, 5000).await;
        assert!(counted.abs_diff(expected) <= 3, "{counted} of {claimed}");
    }
}
