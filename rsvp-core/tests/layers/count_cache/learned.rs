//! Counts do not go back for a caller who has seen more.

use std::sync::Arc;

use rsvp_core::layers::{CountCache, CountCacheConfig, LayerExt};
use rsvp_core::{Consistency, ReadOptions, RsvpStoreExt, SessionToken};
use tokio::time::advance;

use crate::count_cache::control::Point;
use crate::count_cache::inner::Inner;
use crate::count_cache::{bounded, cache, count, event, ms, number, settle, user};
use crate::probe::Probe;

type Process = (Arc<CountCache<Arc<Inner>>>, Arc<Inner>);

/// Two processes over one store.
fn two() -> [Process; 2] {
    let (first, inner) = cache(CountCacheConfig::default());
    let peer = inner.peer();
    let second = peer.clone().with_count_cache(CountCacheConfig::default()).unwrap();
    [(first, inner), (Arc::new(second), peer)]
}

#[tokio::test(start_paused = true)]
async fn what_a_fresher_read_has_seen_the_next_ones_see_as_well() {
    for strong in [false, true] {
        let [(here, inner), (there, _)] = two();
        let fair = event("fair");
        assert_eq!(number(&*here, &fair, 5000).await, 0);
        let receipt = there.rsvp(&user("ann"), &fair).await.unwrap();
        assert_eq!(number(&*here, &fair, 5000).await, 0, "within its bound");
        advance(ms(1000)).await;
        let token = receipt.token;
        let level = if strong { Consistency::Strong } else { Consistency::Session(token) };
        assert_eq!(here.rsvp_count_with(&fair, level).await.unwrap().value, 1);
        advance(ms(10)).await;
        let next = count(&*here, &fair, 5000).await.unwrap();
        assert_eq!((next.value, next.age, inner.reads()), (1, ms(10), 2), "strong: {strong}");
        here.rsvp(&user("bob"), &fair).await.unwrap();
        assert_eq!((number(&*here, &fair, 5000).await, inner.reads()), (2, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_fresher_read_of_an_event_that_nobody_caches_makes_no_entry() {
    let (cache, _) = cache(CountCacheConfig::default());
    cache.rsvp_count_with(&event("fair"), Consistency::Strong).await.unwrap();
    cache.rsvp(&user("ann"), &event("gala")).await.unwrap();
    assert!(format!("{cache:?}").contains("entries: 0"), "{cache:?}");
}

/// A strong read that overlaps a write of this cache may lack it.
#[tokio::test(start_paused = true)]
async fn a_fresher_read_that_lacks_an_acknowledged_write_hides_it_from_nobody() {
    let (cache, inner) = cache(CountCacheConfig::default());
    let fair = event("fair");
    number(&*cache, &fair, 5000).await;
    inner.reads.hold(Point::After);
    let reading = tokio::spawn({
        let (cache, fair) = (cache.clone(), fair.clone());
        async move { cache.rsvp_count_with(&fair, Consistency::Strong).await.unwrap().value }
    });
    settle().await;
    cache.rsvp(&user("ann"), &fair).await.unwrap();
    inner.reads.release();
    assert_eq!(reading.await.unwrap(), 0, "it was asked before");
    assert_eq!(number(&*cache, &fair, 5000).await, 1);
}

/// The strong read began first, and its answer comes last.
#[tokio::test(start_paused = true)]
async fn of_reads_at_one_time_the_one_that_saw_less_is_not_kept() {
    let (cache, inner) = cache(CountCacheConfig::default());
    let fair = event("fair");
    inner.reads.hold(Point::After);
    let ask = |level: Consistency| {
        let (cache, fair) = (cache.clone(), fair.clone());
        tokio::spawn(async move { cache.rsvp_count_with(&fair, level).await.unwrap().value })
    };
    let cached = ask(bounded(5000));
    settle().await;
    inner.data().rsvp(&user("ann"), &fair).await.unwrap();
    let strong = ask(Consistency::Strong);
    settle().await;
    inner.reads.release();
    assert!(cached.await.unwrap() <= strong.await.unwrap());
    assert_eq!(number(&*cache, &fair, 5000).await, 1);
}

/// A session read that a replica has answered is as old as it may be, and has its token in it.
#[tokio::test(start_paused = true)]
async fn a_count_of_a_replica_that_differs_has_the_cached_one_read_again() {
    let (cache, inner) = cache(CountCacheConfig::default());
    let fair = event("fair");
    number(&*cache, &fair, 5000).await;
    inner.lag(ms(20));
    let session = Consistency::Session(SessionToken::new());
    cache.rsvp_count_with(&fair, session.clone()).await.unwrap();
    assert_eq!((number(&*cache, &fair, 5000).await, inner.reads()), (0, 2), "they agree");
    inner.data().rsvp(&user("ann"), &fair).await.unwrap();
    let seen = cache.rsvp_count_with(&fair, session.clone()).await.unwrap();
    assert_eq!((seen.value, seen.age), (1, ms(20)));
    assert_eq!((number(&*cache, &fair, 5000).await, inner.reads()), (1, 4));
}

/// A refresh that is on its way read less than a session has seen meanwhile.
#[tokio::test(start_paused = true)]
async fn a_refresh_does_not_go_back_behind_a_count_of_a_replica() {
    let (cache, inner) = cache(CountCacheConfig::default());
    let fair = event("fair");
    inner.lag(ms(20));
    inner.reads.hold(Point::After);
    let refreshing = tokio::spawn({
        let (cache, fair) = (cache.clone(), fair.clone());
        async move { number(&*cache, &fair, 5000).await }
    });
    settle().await;
    inner.data().rsvp(&user("ann"), &fair).await.unwrap();
    let session = tokio::spawn({
        let (cache, fair) = (cache.clone(), fair.clone());
        let options = ReadOptions::session(SessionToken::new());
        async move { cache.rsvp_count_with(&fair, options).await.unwrap().value }
    });
    settle().await;
    inner.reads.release();
    assert_eq!((refreshing.await.unwrap(), session.await.unwrap()), (0, 1));
    assert_eq!(number(&*cache, &fair, 5000).await, 1);
}

/// Two caches over a store whose tokens have positions.
fn probed() -> ([CountCache<Arc<Probe>>; 2], Arc<Probe>) {
    let probe = Probe::new();
    let cache = || probe.clone().with_count_cache(CountCacheConfig::default()).unwrap();
    ([cache(), cache()], probe)
}

async fn of_session(cache: &CountCache<Arc<Probe>>, token: &SessionToken) -> u64 {
    let options = ReadOptions::session(token.clone());
    cache.rsvp_count_with(&event("fair"), options).await.unwrap().value
}

#[tokio::test(start_paused = true)]
async fn a_session_is_answered_from_memory_once_its_writes_are_known_to_be_in_it() {
    let ([here, there], probe) = probed();
    let fair = event("fair");
    number(&here, &fair, 5000).await;
    let token = there.rsvp(&user("ann"), &fair).await.unwrap().token;
    probe.asked();
    // The token is of another cache: only the store can tell.
    for _ in 0..2 {
        assert_eq!(of_session(&here, &token).await, 1);
    }
    assert_eq!(probe.batches(), [1, 1]);
    // A later write through this cache tells that the position has been reached.
    here.rsvp(&user("bob"), &event("gala")).await.unwrap();
    assert_eq!(of_session(&here, &token).await, 1);
    assert_eq!(probe.batches(), [1, 1], "the write, and a read that began after it");
    for _ in 0..3 {
        advance(ms(100)).await;
        assert_eq!(of_session(&here, &token).await, 1);
        assert_eq!(number(&here, &fair, 5000).await, 1);
    }
    assert!(probe.batches().is_empty());
    // A token of the receipt itself may be that of another write, too, that came just after it.
    let own = here.rsvp(&user("bob"), &fair).await.unwrap().token;
    assert_eq!(of_session(&here, &own).await, 2);
    assert_eq!(probe.batches(), [1, 1]);
    // One that is older than the greatest age is read, whatever it has in it.
    advance(ms(5001)).await;
    assert_eq!(of_session(&here, &token).await, 2);
    assert_eq!(probe.batches(), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_forged_token_costs_its_bearer_alone() {
    let ([here, there], probe) = probed();
    let fair = event("fair");
    let genuine = there.rsvp(&user("ann"), &fair).await.unwrap().token;
    let text = genuine.to_string();
    let (log, _) = text.rsplit_once('-').unwrap();
    let future: SessionToken = format!("{log}-ffffffffffff").parse().unwrap();
    let mut many = SessionToken::new();
    (0..200).for_each(|origin| many.merge(&SessionToken::at(origin, 7)));
    number(&here, &fair, 5000).await;
    here.rsvp(&user("bob"), &event("gala")).await.unwrap();
    probe.asked();
    for forged in [future, many] {
        for _ in 0..3 {
            assert_eq!(of_session(&here, &forged).await, 1);
        }
        assert_eq!(probe.batches(), [1, 1, 1], "memory never has it");
        number(&here, &fair, 5000).await;
        assert!(probe.batches().is_empty(), "others are answered from memory");
    }
    let later = there.rsvp(&user("eve"), &fair).await.unwrap().token;
    probe.asked();
    assert_eq!(of_session(&here, &later).await, 2, "a later token is not taken for the forged one");
    assert_eq!(probe.batches(), [1]);
}
