//! Reads of a coalesced store that wait longer than they should.

use std::sync::Arc;
use std::time::Duration;

use rsvp_core::layers::{Call, CoalesceConfig, CoalescedStore, Layer, LayerExt, Layered};
use rsvp_core::{Deadline, ReadOptions, Result, Rsvp, RsvpStore};
use rsvp_memory::MemoryStore;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, sleep_until};

use crate::{event, user};

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Each batch takes 5 ms, and ends after the stall.
#[derive(Debug)]
struct Stalled {
    until: Instant,
}

impl Layer for Stalled {
    async fn call<C: Call, S: RsvpStore>(&self, call: C, store: &S) -> Result<C::Answer> {
        sleep_until((Instant::now() + ms(5)).max(self.until)).await;
        call.run(store).await
    }
}

type Store = Arc<CoalescedStore<Layered<Stalled, MemoryStore>>>;

/// A store that is stalled for this time, with batches of 100, one after another.
fn stalled(time: Duration) -> Store {
    let config = CoalesceConfig::default().with_concurrent_reads(1).with_max_batch(100);
    let stalled = Stalled { until: Instant::now() + time };
    Arc::new(MemoryStore::new().with_layer(stalled).with_coalescing(config).unwrap())
}

/// Reads this number of pairs. Returns whether the answer came in time.
async fn read(store: Store, entries: u64, patience: Option<u64>) -> bool {
    let pairs: Vec<_> = (0..entries).map(|n| Rsvp::new(user(n), event(1_u64))).collect();
    let mut options = ReadOptions::default();
    options.deadline = patience.map(|patience| Deadline::after(ms(patience)));
    let deadline = options.deadline;
    let answer = store.has_rsvped_batch(&pairs, &options).await;
    answer.is_ok() && deadline.is_none_or(|deadline| !deadline.has_passed())
}

/// Makes this number of reads each millisecond for this time.
async fn press(
    store: &Store,
    calls: &mut JoinSet<bool>,
    time: u64,
    each: u64,
    patience: impl Fn(u64) -> Option<u64>,
) {
    let mut ticks = interval(ms(1));
    for millisecond in 0..time {
        ticks.tick().await;
        let numbers = (0..each).map(|n| millisecond * each + n);
        numbers.for_each(|n| drop(calls.spawn(read(store.clone(), 1, patience(n)))));
    }
}

async fn in_time(calls: JoinSet<bool>) -> usize {
    calls.join_all().await.into_iter().filter(|in_time| *in_time).count()
}

#[tokio::test(start_paused = true)]
async fn one_slow_batch_makes_no_read_late_that_has_time() {
    for (entries, patience) in [(1, 100), (1, 1000), (60, 1000), (150, 1000)] {
        let store = stalled(ms(patience * 6 / 10));
        let mut calls = JoinSet::new();
        calls.spawn(read(store.clone(), 1, None));
        sleep(ms(1)).await;
        calls.spawn(read(store.clone(), entries, Some(patience)));
        // Half of the load that the store can take.
        press(&store, &mut calls, patience + 100, 10, |_| Some(patience)).await;
        let all = calls.len();
        assert_eq!(in_time(calls).await, all, "{entries} entries, {patience} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_read_that_is_late_does_not_hold_the_older_ones() {
    for entries in [1, 90] {
        let store = stalled(ms(60));
        let mut calls = JoinSet::new();
        calls.spawn(read(store.clone(), 1, None));
        sleep(ms(1)).await;
        (0..200).for_each(|_| drop(calls.spawn(read(store.clone(), 1, Some(100)))));
        sleep(ms(54)).await;
        calls.spawn(read(store.clone(), entries, Some(100)));
        sleep(ms(2)).await;
        press(&store, &mut calls, 100, 10, |_| Some(100)).await;
        let all = calls.len();
        assert_eq!(in_time(calls).await, all, "{entries} entries");
    }
}

#[tokio::test(start_paused = true)]
async fn a_few_reads_with_more_time_leave_the_others_their_throughput() {
    for (one_of, patience) in [(1000, None), (100, None), (20, None), (100, Some(500))] {
        let store = stalled(ms(0));
        let mut calls = JoinSet::new();
        // Five times the load that the store can take.
        let patience_of = |n: u64| if n.is_multiple_of(one_of) { patience } else { Some(50) };
        press(&store, &mut calls, 500, 100, patience_of).await;
        let in_time = in_time(calls).await;
        println!("1 of {one_of} with {patience:?} ms: {in_time} in time");
        assert!(in_time >= 9_000, "1 of {one_of} with {patience:?} ms: {in_time} in time");
    }
}
