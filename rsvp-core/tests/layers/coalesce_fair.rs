//! One hot event beside others in a coalesced store.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use rsvp_core::layers::{
    Call, CoalesceConfig, CoalescedStore, Layer, LayerExt, Layered, LimitConfig,
};
use rsvp_core::{
    Error, Operation, PageRequest, Result, RsvpStore, RsvpStoreExt, Write, WriteOptions,
};
use rsvp_memory::MemoryStore;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep};

use crate::coalesce::{coalesced, narrow, settle};
use crate::engine::modelled;
use crate::hooked::{Hook, Hooked};
use crate::probe::Probe;
use crate::{event, user};

const HOT: u64 = 1_000_000;
const TIME: Duration = Duration::from_secs(4);

struct Seen {
    /// The 95th percentile of the writes of the other events, and of those of the slowest of them.
    p95: Duration,
    slowest: Duration,
    refused: usize,
    /// Writes of the hot event, a second.
    hot: f64,
}

fn p95(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() * 95 / 100]
}

/// 200 events with five writes a second each, beside one with so many writers.
async fn beside(writers: u64) -> Seen {
    let (store, engine) = modelled(CoalesceConfig::default());
    let end = Instant::now() + TIME;
    let mut tasks = JoinSet::new();
    let hot = Arc::new(AtomicUsize::new(0));
    for writer in 0..writers {
        let (store, hot) = (store.clone(), hot.clone());
        tasks.spawn(async move {
            let mut number = writer << 32;
            while Instant::now() < end {
                number += 1;
                match store.rsvp(&user(number), &event(HOT)).await {
                    Ok(_) if Instant::now() <= end => drop(hot.fetch_add(1, Ordering::SeqCst)),
                    Ok(_) => {}
                    Err(error) => {
                        assert!(matches!(error, Error::Overloaded { .. }), "{error}");
                        sleep(Duration::from_millis(200)).await;
                    }
                }
            }
        });
    }
    let times = Arc::new(Mutex::new(vec![Vec::new(); 200]));
    let refused = Arc::new(AtomicUsize::new(0));
    for of in 0..200_u64 {
        let (store, times, refused) = (store.clone(), times.clone(), refused.clone());
        tasks.spawn(async move {
            // Not in step.
            sleep(Duration::from_millis(500) + Duration::from_micros(of * 997)).await;
            for number in 0_u64.. {
                let began = Instant::now();
                if began >= end {
                    break;
                }
                match store.rsvp(&user(number), &event(of)).await {
                    Ok(_) => times.lock().unwrap()[of as usize].push(began.elapsed()),
                    Err(_) => drop(refused.fetch_add(1, Ordering::SeqCst)),
                }
                sleep(Duration::from_millis(200)).await;
            }
        });
    }
    tasks.join_all().await;
    assert!(engine.most_batches() <= 4, "{} in flight", engine.most_batches());
    let times = std::mem::take(&mut *times.lock().unwrap());
    Seen {
        slowest: times.iter().cloned().map(p95).max().unwrap(),
        p95: p95(times.concat()),
        refused: refused.load(Ordering::SeqCst),
        hot: hot.load(Ordering::SeqCst) as f64 / TIME.as_secs_f64(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_hot_event_leaves_the_others_as_they_are() {
    let without = beside(0).await;
    for writers in [200, 2_000, 20_000] {
        let with = beside(writers).await;
        println!(
            "{writers} writers: p95 {:?} instead of {:?}, slowest {:?} instead of {:?}, {} of the hot \
             event a second",
            with.p95, without.p95, with.slowest, without.slowest, with.hot
        );
        assert!(with.p95 <= 2 * without.p95, "{:?} instead of {:?}", with.p95, without.p95);
        assert!(
            with.slowest <= 2 * without.slowest,
            "{:?} instead of {:?}",
            with.slowest,
            without.slowest
        );
        assert_eq!(with.refused, 0);
        if writers == 20_000 {
            // One batch of 2,048 after another, which is all that the event can have.
            let best = 2048.0 / (0.005 + 2048.0 * 0.000_05);
            assert!(with.hot >= 0.95 * best, "{} of {best} a second", with.hot);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn events_with_a_backlog_share_batches_and_leave_a_lane_to_the_others() {
    let (store, engine) = modelled(CoalesceConfig::default().with_max_batch(64));
    let mut calls: Vec<_> = (0..6 * 200_u64)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.rsvp(&user(number), &event(number % 6)).await })
        })
        .collect();
    settle().await;
    let began = engine.batches();
    assert_eq!(began.len(), 3, "one lane is left: {began:?}");
    for (events, entries) in &began {
        assert_eq!((events.len(), *entries), (2, 64), "two of six events, half of the batch each");
    }
    let other = store.clone();
    let began = Instant::now();
    other.rsvp(&user(1_u64), &event(99_u64)).await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(7), "{:?}", began.elapsed());
    for call in calls.drain(..) {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn with_one_lane_an_event_with_a_backlog_and_the_others_take_turns() {
    let (store, engine) = modelled(narrow().with_max_batch(64));
    let of = |number: u64, event: u64| {
        let store = store.clone();
        tokio::spawn(async move { store.rsvp(&user(number), &crate::event(event)).await })
    };
    let mut calls: Vec<_> = (0..256).map(|number| of(number, 0)).collect();
    settle().await;
    calls.extend((1..=20).map(|other| of(1, other)));
    for call in calls {
        call.await.unwrap().unwrap();
    }
    let batches = engine.batches().into_iter().map(|(events, entries)| (events.len(), entries));
    let batches: Vec<_> = batches.collect();
    assert_eq!(batches, [(1, 64), (20, 20), (1, 64), (1, 64), (1, 64)]);
}

/// Ten entries for one event alone are twenty for all.
#[tokio::test(start_paused = true)]
async fn an_event_takes_as_much_as_it_leaves_to_the_others() {
    let (store, probe) = coalesced(narrow().with_max_pending(10));
    probe.shut();
    let queue = |event: u64| {
        let mut calls = Vec::new();
        loop {
            let write = Write::rsvp(user(calls.len() as u64), crate::event(event));
            let (store, write) = (store.clone(), [write]);
            let mut call = Box::pin(async move { crate::write_all(&store, &write).await });
            match call.as_mut().now_or_never() {
                None => calls.push(call),
                Some(refused) => {
                    let refused = refused.unwrap_err();
                    assert!(matches!(refused, Error::Overloaded { .. }), "{refused}");
                    return calls;
                }
            }
        }
    };
    let calls: Vec<_> = (0..8).map(queue).collect();
    let lengths: Vec<_> = calls.iter().map(Vec::len).collect();
    assert_eq!(lengths, [10, 5, 3, 1, 1, 0, 0, 0]);
    assert_eq!(store.pending(), 20);
    let error = store.ready().await.unwrap_err();
    assert!(matches!(error, Error::Overloaded { .. }), "nobody has room: {error}");
    probe.open();
    for call in calls.into_iter().flatten() {
        call.await.unwrap();
    }
    assert_eq!(store.pending(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_of_many_events_keeps_the_writes_of_each_together() {
    let (store, engine) = modelled(CoalesceConfig::default().with_max_batch(10));
    // Three writes to each of a hundred events, far from one another.
    let write = |n: u64| Write::rsvp(user(n / 100 % 2), event(n % 100));
    let writes: Vec<_> = (0..300).map(write).collect();
    let outcomes = crate::write_all(&store, &writes).await.unwrap();
    for (n, outcome) in outcomes.iter().enumerate() {
        assert_eq!(outcome.is_applied(), n < 200, "the last hundred repeat the first: {n}");
    }
    let mut seen = std::collections::BTreeSet::new();
    for (events, entries) in engine.batches() {
        assert_eq!(entries, 3 * events.len());
        assert!(entries <= 10);
        for event in events {
            assert!(seen.insert(event.clone()), "{event:?} is in two batches");
        }
    }
}

/// Lists take 20 ms, and writes 5 ms.
#[derive(Debug)]
struct SlowLists;

impl Layer for SlowLists {
    async fn call<C: Call, S: RsvpStore>(&self, call: C, store: &S) -> Result<C::Answer> {
        let millis = if call.operation() == Operation::Attendees { 20 } else { 5 };
        sleep(Duration::from_millis(millis)).await;
        call.run(store).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_lists_fill_refuses_no_coalesced_call() {
    let store = Layered::around(MemoryStore::new(), SlowLists);
    let store = store.with_limit(LimitConfig::new(64)).unwrap();
    let store = Arc::new(store.with_coalescing(CoalesceConfig::default()).unwrap());
    let end = Instant::now() + Duration::from_secs(2);
    let (mut tasks, refused) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
    for n in 0..600_u64 {
        let (store, refused) = (store.clone(), refused.clone());
        tasks.spawn(async move {
            while Instant::now() < end {
                if store.attendees_page(&event(n), &PageRequest::default()).await.is_err() {
                    refused.fetch_add(1, Ordering::SeqCst);
                    sleep(Duration::from_millis(5)).await;
                }
            }
        });
    }
    for n in 0..500_u64 {
        let store = store.clone();
        tasks.spawn(async move {
            for number in 0_u64.. {
                if Instant::now() >= end {
                    break;
                }
                let began = Instant::now();
                store.rsvp(&user(number), &event(n)).await.expect("no write is refused");
                assert!(store.has_rsvped(&user(number), &event(n)).await.expect("nor a read"));
                assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert!(refused.load(Ordering::SeqCst) > 0, "the limit is reached");
}

/// Each batch of writes queues the next one, so the queue is never empty.
#[derive(Debug, Default)]
struct Endless {
    store: MemoryStore,
    outside: OnceLock<Weak<CoalescedStore<Arc<Hooked<Endless>>>>>,
    batches: AtomicUsize,
}

impl Hook for Endless {
    fn store(&self) -> &MemoryStore {
        &self.store
    }

    async fn write<T: Send>(
        &self,
        _: &[Write],
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let outside = self.outside.get().unwrap().upgrade().unwrap();
        if self.batches.fetch_add(1, Ordering::SeqCst) < 20_000 {
            let next = outside.rsvp(&user(1_u64), &event(1_u64)).now_or_never();
            assert!(next.is_none(), "it is queued, and made although its caller has gone");
        }
        call.await
    }
}

#[tokio::test]
async fn a_store_that_answers_at_once_leaves_other_tasks_their_turn() {
    let endless = Arc::new(Hooked(Endless::default()));
    let store = Arc::new(endless.clone().with_coalescing(narrow()).unwrap());
    endless.outside.set(Arc::downgrade(&store)).unwrap();
    drop(spawn_first(&store));
    let mut turns = 0;
    while store.pending() > 0 || turns == 0 {
        yield_now().await;
        turns += 1;
    }
    assert!(endless.batches.load(Ordering::SeqCst) > 20_000);
    assert!(turns > 50, "{turns} turns");
}

fn spawn_first(store: &Arc<CoalescedStore<Arc<Hooked<Endless>>>>) -> tokio::task::JoinHandle<()> {
    let store = store.clone();
    tokio::spawn(async move { drop(store.rsvp(&user(1_u64), &event(1_u64)).await) })
}

#[tokio::test(start_paused = true)]
async fn a_call_larger_than_the_queue_leaves_half_of_it_to_the_other_events() {
    let probe = Probe::new();
    let config = CoalesceConfig::default().with_max_pending(100);
    let store = Arc::new(probe.clone().with_coalescing(config).unwrap());
    probe.shut();
    let large = {
        let store = store.clone();
        tokio::spawn(async move {
            let writes: Vec<_> = (0..500_u64).map(|n| Write::rsvp(user(n), event(1_u64))).collect();
            store.write_batch(&writes, &WriteOptions::default()).await
        })
    };
    settle().await;
    let other = {
        let store = store.clone();
        tokio::spawn(async move { store.rsvp(&user(1_u64), &event(2_u64)).await })
    };
    settle().await;
    assert!(
        store.rsvp(&user(1_u64), &event(1_u64)).await.is_err(),
        "the room of the event is full"
    );
    probe.open();
    assert!(large.await.unwrap().unwrap().results.iter().all(Result::is_ok));
    other.await.unwrap().unwrap();
    assert_eq!(store.pending(), 0);
}
