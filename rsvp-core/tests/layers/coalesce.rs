//! Which batches are made of which calls, in which order, and how much may wait.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use rsvp_core::layers::{CoalesceConfig, CoalescedStore, LayerExt};
use rsvp_core::{
    Consistency, Effect, Error, Operation, Outcome, Result, RsvpStore, RsvpStoreExt, SessionToken,
    Write, WriteOptions,
};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::probe::{Asked, Probe};
use crate::{event, present, user, write_all};

pub(crate) type Coalesced = Arc<CoalescedStore<Arc<Probe>>>;

/// One lane, one batch of each kind of read at a time.
pub(crate) fn narrow() -> CoalesceConfig {
    CoalesceConfig::default().with_lanes(1).with_concurrent_reads(1)
}

pub(crate) fn coalesced(config: CoalesceConfig) -> (Coalesced, Arc<Probe>) {
    let probe = Probe::new();
    (Arc::new(probe.clone().with_coalescing(config).unwrap()), probe)
}

/// Lets every task go as far as it can.
pub(crate) async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

pub(crate) fn spawn_write(store: &Coalesced, write: Write) -> JoinHandle<Result<Vec<Outcome>>> {
    let store = store.clone();
    tokio::spawn(async move { write_all(&store, &[write]).await })
}

/// Writes of users `from..to` to one event, all queued in that order.
async fn queue_rsvps(
    store: &Coalesced,
    users: std::ops::Range<u32>,
) -> Vec<JoinHandle<Result<Vec<Outcome>>>> {
    let calls = users.map(|n| spawn_write(store, Write::rsvp(user(n), event(1_u64)))).collect();
    settle().await;
    calls
}

#[tokio::test(start_paused = true)]
async fn an_idle_store_adds_no_wait() {
    let (store, probe) = coalesced(CoalesceConfig::default());
    let began = Instant::now();
    for n in 0..10_u32 {
        store.rsvp(&user(n), &event(n)).await.unwrap();
        assert!(store.has_rsvped(&user(n), &event(n)).await.unwrap());
        assert_eq!(store.rsvp_count(&event(n)).await.unwrap().value, 1);
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(probe.batches(), [1; 30]);
}

#[tokio::test(start_paused = true)]
async fn calls_that_arrive_while_a_batch_is_in_flight_form_the_next() {
    let (store, probe) = coalesced(narrow().with_max_batch(100));
    probe.shut();
    let first = queue_rsvps(&store, 0..1).await;
    let then = queue_rsvps(&store, 1..251).await;
    assert_eq!(probe.batches(), [1], "one in flight");
    assert_eq!(store.pending(), 251);
    probe.open();
    for call in first.into_iter().chain(then) {
        assert_eq!(call.await.unwrap().unwrap(), [Outcome::Applied]);
    }
    assert_eq!(probe.batches(), [100, 100, 50]);
    assert_eq!(store.pending(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_larger_than_a_batch_is_not_divided() {
    let (store, probe) = coalesced(narrow().with_max_batch(10));
    let writes: Vec<_> = (0..1000_u32).map(|n| Write::rsvp(user(n), event(1_u64))).collect();
    let pairs: Vec<_> = writes.iter().map(|write| write.rsvp.clone()).collect();
    assert_eq!(write_all(&store, &writes).await.unwrap(), [Outcome::Applied; 1000]);
    assert_eq!(present(&store, &pairs).await.unwrap(), [true; 1000]);
    assert_eq!(probe.batches(), [1000, 1000]);
}

#[tokio::test(start_paused = true)]
async fn writes_of_a_pair_take_effect_in_the_order_of_the_calls() {
    let (store, probe) = coalesced(CoalesceConfig::default());
    let (ann, fair) = (user(1_u64), event(1_u64));
    let (rsvp, cancel) =
        (|| Write::rsvp(ann.clone(), fair.clone()), || Write::cancel(ann.clone(), fair.clone()));
    probe.shut();
    let mut calls = Vec::new();
    for write in [rsvp(), rsvp(), cancel(), rsvp(), cancel(), cancel(), rsvp()] {
        calls.push(spawn_write(&store, write));
        settle().await;
    }
    probe.open();
    let outcomes = join_all(calls).await.into_iter().map(|call| call.unwrap().unwrap()[0]);
    let (applied, unchanged) = (Outcome::Applied, Outcome::Unchanged);
    let expected = [applied, unchanged, applied, applied, applied, unchanged, applied];
    assert_eq!(outcomes.collect::<Vec<_>>(), expected);
    assert!(store.has_rsvped(&ann, &fair).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_at_once() {
    let (store, probe) = coalesced(narrow().with_max_pending(10));
    probe.shut();
    let calls = queue_rsvps(&store, 0..10).await;
    let (ann, fair) = (user(99_u64), event(1_u64));
    let refused = store.rsvp(&ann, &fair).now_or_never().expect("at once").unwrap_err();
    assert!(matches!(refused, Error::Overloaded { operation: Operation::Write, .. }), "{refused}");
    assert_eq!(refused.effect(), Effect::NotApplied);
    assert!(store.has_rsvped(&ann, &fair).now_or_never().is_none(), "reads have their own bound");
    probe.open();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    settle().await;
    assert_eq!((store.pending(), probe.store.table().rsvp_count(&fair)), (0, 10));
    store.rsvp(&ann, &fair).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_callers_as_there_is_room_for_are_never_refused() {
    let (store, _probe) = coalesced(narrow().with_max_batch(3).with_max_pending(8));
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..8_u32 {
        let store = store.clone();
        callers.spawn(async move {
            for n in 0..2000_u32 {
                store.rsvp(&user(caller), &event(n)).await.unwrap();
            }
        });
    }
    callers.join_all().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_would_refuse_every_write_is_not_ready() {
    let [first, second] = [1_u64, 2].map(event);
    let (store, probe) = coalesced(narrow().with_lanes(2).with_max_pending(1));
    probe.shut();
    let mut calls = vec![spawn_write(&store, Write::rsvp(user(1_u64), first))];
    settle().await;
    assert!(store.ready().now_or_never().is_none(), "writes of other events would be accepted");
    calls.push(spawn_write(&store, Write::rsvp(user(1_u64), second)));
    settle().await;
    let refused = store.ready().now_or_never().expect("at once").unwrap_err();
    assert!(matches!(refused, Error::Overloaded { operation: Operation::Ready, .. }), "{refused}");
    probe.open();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    settle().await;
    store.ready().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn of_a_batch_an_event_without_room_refuses_its_own_entries_alone() {
    let [first, second] = [1_u64, 2].map(event);
    let (store, probe) = coalesced(narrow().with_lanes(2).with_max_pending(5));
    probe.shut();
    let calls: Vec<_> =
        (0..5_u32).map(|n| spawn_write(&store, Write::rsvp(user(n), first.clone()))).collect();
    settle().await;
    let batches: Vec<_> = [[&first, &second], [&second, &first]]
        .into_iter()
        .zip(7_u64..)
        .map(|(events, n)| {
            let store = store.clone();
            let both = events.map(|event| Write::rsvp(user(n), event.clone()));
            tokio::spawn(async move { store.write_batch(&both, &WriteOptions::default()).await })
        })
        .collect();
    settle().await;
    assert_eq!(store.pending(), 7, "each has room for the other event alone");
    probe.open();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    for (at, batch) in batches.into_iter().enumerate() {
        let results = batch.await.unwrap().unwrap().results;
        let refused = results[at].as_ref().unwrap_err();
        assert!(matches!(refused, Error::Overloaded { .. }), "{refused}");
        assert!(results[1 - at].as_ref().unwrap().outcome.is_applied(), "{results:?}");
    }
    let table = probe.store.table();
    assert_eq!((table.rsvp_count(&first), table.rsvp_count(&second)), (5, 2));
    assert_eq!(store.pending(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_event_without_room_leaves_others_alone() {
    let [first, second] = [1_u64, 2].map(event);
    let (store, probe) = coalesced(narrow().with_lanes(2).with_max_pending(3));
    probe.shut();
    for n in 0..3_u32 {
        drop(spawn_write(&store, Write::rsvp(user(n), first.clone())));
    }
    settle().await;
    assert!(store.rsvp(&user(9_u64), &first).await.is_err());
    let other = spawn_write(&store, Write::rsvp(user(9_u64), second));
    settle().await;
    probe.let_through(2);
    other.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_batch_larger_than_the_bound_goes_through_an_idle_store() {
    let (store, probe) = coalesced(narrow().with_max_pending(10));
    let writes: Vec<_> = (0..50_u32).map(|n| Write::rsvp(user(n), event(1_u64))).collect();
    write_all(&store, &writes).await.unwrap();
    assert_eq!(probe.batches(), [50]);
}

#[tokio::test(start_paused = true)]
async fn a_count_that_a_thousand_ask_for_is_asked_for_once() {
    let (store, probe) = coalesced(narrow());
    store.rsvp(&user(1_u64), &event(1_u64)).await.unwrap();
    probe.shut();
    let calls: Vec<_> = (0..1000_u64)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.rsvp_count(&event(n % 2)).await })
        })
        .collect();
    settle().await;
    probe.open();
    probe.asked();
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap().unwrap().value, n as u64 % 2);
    }
    assert!(probe.batches().iter().sum::<usize>() <= 2, "each event once, after the first");
}

/// Makes writes until their receipts have this position, and returns the origin of their tokens.
async fn writes_seen_up_to(store: &Coalesced, probe: &Probe, position: u64) -> u64 {
    let origin = probe.origin();
    loop {
        let token = store.cancel(&user(1_u64), &event(1_u64)).await.unwrap().token;
        if token.position(origin) == Some(position) {
            probe.asked();
            return origin;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn reads_of_different_kinds_are_not_mixed() {
    let (store, probe) = coalesced(narrow());
    let origin = writes_seen_up_to(&store, &probe, 8).await;
    probe.shut();
    let bounded = |millis| Consistency::Bounded(Duration::from_millis(millis));
    let session = |position| Consistency::Session(SessionToken::at(origin, position));
    let levels = [
        Consistency::Strong,
        bounded(7),
        session(5),
        Consistency::Eventual,
        Consistency::Strong,
        bounded(90),
        session(3),
        Consistency::Eventual,
        Consistency::Strong,
        bounded(30),
        session(8),
        Consistency::Eventual,
    ];
    let mut calls = Vec::new();
    for level in levels {
        let store = store.clone();
        calls.push(tokio::spawn(async move {
            store.has_rsvped_with(&user(1_u64), &event(1_u64), level).await
        }));
        settle().await;
    }
    probe.open();
    for call in calls {
        assert!(!call.await.unwrap().unwrap());
    }
    let asked = |entries, level| (Operation::HasRsvped, entries, Some(level));
    let mut expected = vec![
        asked(1, Consistency::Strong),
        asked(1, bounded(7)),
        asked(1, session(5)),
        asked(1, Consistency::Eventual),
        asked(2, Consistency::Strong),
        asked(2, bounded(30)),
        asked(2, session(8)),
        asked(2, Consistency::Eventual),
    ];
    let of_call = |asked: Asked| (asked.operation, asked.entries, asked.consistency);
    let mut seen: Vec<_> = probe.asked().into_iter().map(of_call).collect();
    seen.sort_by_key(|asked| format!("{asked:?}"));
    expected.sort_by_key(|asked| format!("{asked:?}"));
    assert_eq!(seen, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_callers_on_one_event_are_counted_exactly() {
    let (store, probe) = coalesced(CoalesceConfig::default());
    let calls: Vec<_> =
        (0..10_000_u32).map(|n| spawn_write(&store, Write::rsvp(user(n), event(1_u64)))).collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), [Outcome::Applied]);
    }
    assert_eq!(probe.store.table().rsvp_count(&event(1_u64)), 10_000);
    assert_eq!(store.pending(), 0);
}
