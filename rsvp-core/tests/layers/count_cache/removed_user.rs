//! The removal of a user has the counts of its events read again, and no others.

use std::sync::Arc;

use rsvp_core::layers::{CountCacheConfig, LayerExt};
use rsvp_core::{Effect, Error, EventId, Operation, PageLimit, RsvpStore, RsvpStoreExt};
use rsvp_core::{Write, WriteOptions};
use tokio::time::advance;

use crate::count_cache::control::Point;
use crate::count_cache::inner::Inner;
use crate::count_cache::{Cache, bounded, cache, event, ms, number, settle, user};
use crate::counts;
use crate::probe::{Probe, Reaction};

/// Twenty events that are in memory, of which the first three are those of ann.
async fn twenty() -> (Arc<Cache>, Arc<Inner>, Vec<EventId>) {
    let (cache, inner) = cache(CountCacheConfig::default());
    let events: Vec<_> = (0..20).map(event).collect();
    for event in &events[..3] {
        inner.data().rsvp(&user("ann"), event).await.unwrap();
    }
    assert_eq!(values(&cache, &events).await, [vec![1; 3], vec![0; 17]].concat());
    (cache, inner, events)
}

async fn values(cache: &Cache, events: &[EventId]) -> Vec<u64> {
    let counts = counts(cache, events, bounded(5000)).await.unwrap();
    counts.into_iter().map(|count| count.value).collect()
}

#[tokio::test(start_paused = true)]
async fn a_user_without_events_has_no_count_read_again() {
    let (cache, inner, events) = twenty().await;
    for _ in 0..100 {
        assert_eq!(cache.remove_user(&user("bob")).await.unwrap().removed, 0);
        assert_eq!(values(&cache, &events).await, [vec![1; 3], vec![0; 17]].concat());
    }
    assert_eq!(inner.reads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_user_with_events_has_theirs_read_again_and_no_others() {
    let (cache, inner, events) = twenty().await;
    assert_eq!(cache.remove_user(&user("ann")).await.unwrap().removed, 3);
    assert_eq!(values(&cache, &events).await, [0; 20]);
    assert_eq!(inner.log()[1].0, events[..3]);
}

#[tokio::test(start_paused = true)]
async fn a_removal_that_fails_or_is_dropped_has_its_events_read_again() {
    for (effect, read) in [
        (Some(Effect::NotApplied), 0),
        (Some(Effect::Unknown), 3),
        // Dropped.
        (None, 3),
    ] {
        let (cache, inner, events) = twenty().await;
        match effect {
            Some(effect) => {
                let error = Error::unavailable(Operation::RemoveUser, effect, None);
                inner.writes.fail_once(Point::Before, error);
                cache.remove_user(&user("ann")).await.unwrap_err();
            }
            None => {
                inner.writes.hold(Point::After);
                let removing = tokio::spawn({
                    let cache = cache.clone();
                    async move { cache.remove_user(&user("ann")).await }
                });
                settle().await;
                removing.abort();
                settle().await;
            }
        }
        let left = if effect.is_none() { 0 } else { 1 };
        assert_eq!(values(&cache, &events).await, [vec![left; 3], vec![0; 17]].concat());
        let again = inner.log().get(1).map_or(0, |(events, _)| events.len());
        assert_eq!(again, read, "{effect:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_user_of_too_many_events_has_all_counts_read_again() {
    let (cache, inner, events) = twenty().await;
    for n in 0..10_000 {
        inner.data().rsvp(&user("ann"), &event(format!("of ann/{n}"))).await.unwrap();
    }
    cache.remove_user(&user("ann")).await.unwrap();
    assert_eq!(values(&cache, &events).await, [0; 20]);
    assert_eq!(inner.log()[1].0.len(), 20);
}

#[tokio::test(start_paused = true)]
async fn if_the_events_cannot_be_listed_all_counts_are_read_again() {
    let probe = Probe::new();
    let cache = probe.clone().with_count_cache(CountCacheConfig::default()).unwrap();
    let (fair, gala) = (event("fair"), event("gala"));
    cache.rsvp(&user("ann"), &fair).await.unwrap();
    for event in [&fair, &gala] {
        number(&cache, event, 5000).await;
    }
    probe.asked();
    for effect in [Effect::NotApplied, Effect::Unknown] {
        let failed = |operation| Error::unavailable(operation, effect, None);
        // The list, and the step.
        probe.react([Reaction::Fail(failed(Operation::EventsOf))]);
        if effect == Effect::Unknown {
            probe.react([Reaction::Lose(failed(Operation::RemoveUser))]);
            cache.remove_user(&user("ann")).await.unwrap_err();
        } else {
            probe.react([Reaction::Fail(failed(Operation::RemoveUser))]);
            cache.remove_user(&user("ann")).await.unwrap_err();
            assert_eq!(number(&cache, &fair, 5000).await, 1);
            assert_eq!(probe.asked().len(), 2, "nothing has happened");
        }
    }
    probe.asked();
    assert_eq!(number(&cache, &fair, 5000).await, 0);
    assert_eq!(number(&cache, &gala, 5000).await, 0);
    assert_eq!(probe.batches(), [1, 1]);
}

/// The write comes after the list of the user's events, and before the step.
#[tokio::test(start_paused = true)]
async fn a_write_that_a_step_has_removed_is_not_counted() {
    for batch in [false, true] {
        let (cache, inner, events) = twenty().await;
        inner.writes.takes(ms(50));
        let removing = tokio::spawn({
            let cache = cache.clone();
            async move { cache.remove_user(&user("ann")).await.unwrap().removed }
        });
        settle().await;
        inner.writes.takes(ms(0));
        // So that the step removes no more than was listed.
        inner.data().cancel(&user("ann"), &events[0]).await.unwrap();
        let rsvp = |name, at: usize| Write::rsvp(user(name), events[at].clone());
        let mut writes = vec![rsvp("ann", 7)];
        if batch {
            writes.push(rsvp("bob", 8));
        }
        let receipt = cache.write_batch(&writes, &WriteOptions::default()).await.unwrap();
        assert_eq!(receipt.outcomes().unwrap().len(), writes.len());
        // Of the same hash as none of them: it moves the count as always.
        cache.rsvp(&user("eve"), &events[9]).await.unwrap();
        assert_eq!(removing.await.unwrap(), 3);
        let mut expected = vec![0; 20];
        (expected[8], expected[9]) = (u64::from(batch), 1);
        assert_eq!(values(&cache, &events).await, expected, "batch: {batch}");
        let again = inner.log().into_iter().skip(1);
        let again: Vec<_> = again.flat_map(|(events, _)| events).collect();
        assert!(!again.contains(&events[9]), "{again:?}");
    }
}

/// The write is acknowledged after the step that has removed it.
#[tokio::test(start_paused = true)]
async fn a_write_that_ends_after_the_step_that_removed_it_is_not_counted() {
    let (cache, inner, events) = twenty().await;
    inner.writes.takes(ms(50));
    let removing = tokio::spawn({
        let cache = cache.clone();
        async move { cache.remove_user(&user("ann")).await.unwrap().removed }
    });
    settle().await;
    inner.writes.takes(ms(0));
    inner.data().cancel(&user("ann"), &events[0]).await.unwrap();
    inner.writes.hold(Point::After);
    let writing = tokio::spawn({
        let (cache, event) = (cache.clone(), events[7].clone());
        async move { cache.rsvp(&user("ann"), &event).await }
    });
    settle().await;
    advance(ms(50)).await;
    settle().await;
    // The step first: it has waited for longer.
    inner.writes.release();
    assert_eq!(removing.await.unwrap(), 3);
    writing.await.unwrap().unwrap();
    assert_eq!(values(&cache, &events).await, [0; 20]);
}

/// Another process has made RSVPs that were not in the list.
#[tokio::test(start_paused = true)]
async fn a_step_that_removes_more_than_was_listed_has_all_counts_read_again() {
    let (cache, inner, events) = twenty().await;
    inner.writes.takes(ms(50));
    let removing = tokio::spawn({
        let cache = cache.clone();
        async move {
            let (ann, options) = (user("ann"), WriteOptions::default());
            let step = cache.remove_user_step(&ann, PageLimit::MAX, &options);
            step.await.unwrap().removed
        }
    });
    settle().await;
    inner.data().rsvp(&user("ann"), &events[7]).await.unwrap();
    assert_eq!(cache.rsvp_count_with(&events[7], bounded(0)).await.unwrap().value, 1);
    assert_eq!(removing.await.unwrap(), 4);
    assert_eq!(values(&cache, &events).await, [0; 20]);
}
