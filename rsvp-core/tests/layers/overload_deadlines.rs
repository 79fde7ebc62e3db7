//! More load than a coalesced store can take, from callers with deadlines.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rsvp_core::layers::{Call, CoalesceConfig, Layer, LayerExt};
use rsvp_core::{
    Deadline, Effect, Error, ReadOptions, Result, RsvpStore, RsvpStoreExt, WriteOptions,
};
use rsvp_memory::MemoryStore;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep_until};

use crate::{event, user};

/// 5 ms for each batch. It keeps deadlines.
#[derive(Debug)]
struct Slow;

impl Layer for Slow {
    async fn call<C: Call, S: RsvpStore>(&self, call: C, store: &S) -> Result<C::Answer> {
        let takes = Duration::from_millis(5);
        let end = Instant::now() + takes;
        match call.deadline() {
            Some(deadline) if deadline.instant() < end => {
                sleep_until(deadline.instant()).await;
                Err(Error::timed_out(call.operation(), takes, Effect::NotApplied))
            }
            _ => {
                sleep_until(end).await;
                call.run(store).await
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Verb {
    Rsvp,
    HasRsvped,
    RsvpCount,
}

struct Answered {
    /// All calls with an answer.
    all: u64,
    /// Those before their deadlines.
    in_time: u64,
}

/// Makes this number of calls each millisecond, for a second.
async fn answered(verb: Verb, events: u64, per_millisecond: u64, patience: Duration) -> Answered {
    let config = CoalesceConfig::default().with_lanes(1).with_concurrent_reads(1);
    let config = config.with_max_batch(100).with_max_pending(1000);
    let store = MemoryStore::new().with_layer(Slow).with_coalescing(config).unwrap();
    let store = Arc::new(store);
    let end = Instant::now() + Duration::from_secs(1);
    let [all, in_time] = [(); 2].map(|()| Arc::new(AtomicU64::new(0)));
    let mut number = 0;
    let (mut ticks, mut calls) = (interval(Duration::from_millis(1)), JoinSet::new());
    while Instant::now() < end {
        ticks.tick().await;
        for _ in 0..per_millisecond {
            number += 1;
            let (store, all, in_time) = (store.clone(), all.clone(), in_time.clone());
            let (guest, fair) = (user(number), event(number * 7 % events));
            calls.spawn(async move {
                let deadline = Deadline::after(patience);
                let options = WriteOptions::default().with_deadline(deadline);
                let reads = ReadOptions::default().with_deadline(deadline);
                let is_ok = match verb {
                    Verb::Rsvp => store.rsvp_with(&guest, &fair, options).await.is_ok(),
                    Verb::HasRsvped => store.has_rsvped_with(&guest, &fair, reads).await.is_ok(),
                    Verb::RsvpCount => store.rsvp_count_with(&fair, reads).await.is_ok(),
                };
                if is_ok && Instant::now() <= end {
                    all.fetch_add(1, Ordering::Relaxed);
                    in_time.fetch_add(u64::from(!deadline.has_passed()), Ordering::Relaxed);
                }
            });
        }
    }
    calls.join_all().await;
    let [all, in_time] = [all, in_time].map(|number| number.load(Ordering::Relaxed));
    Answered { all, in_time }
}

/// A batch of 100 each 5 ms. A full queue takes 50 ms.
const BEST: u64 = 20_000;

#[tokio::test(start_paused = true)]
async fn writes_after_their_deadlines_take_no_place_in_a_batch() {
    for (events, per_millisecond, patience) in [(10, 24, 50), (10, 100, 90), (1000, 100, 50)] {
        let patience = Duration::from_millis(patience);
        let Answered { all, in_time } =
            answered(Verb::Rsvp, events, per_millisecond, patience).await;
        let case = format!("{events} events, {per_millisecond}/ms, {patience:?}: {all}, {in_time}");
        println!("{case}");
        assert!(all >= BEST * 9 / 10 && in_time >= BEST / 2, "{case}");
    }
}

/// The oldest reads have little time left, and are answered after the newer ones.
#[tokio::test(start_paused = true)]
async fn reads_are_answered_in_time_whatever_waits_too_long() {
    for verb in [Verb::HasRsvped, Verb::RsvpCount] {
        for (per_millisecond, patience) in [(24, 40), (100, 30), (100, 90)] {
            let patience = Duration::from_millis(patience);
            let Answered { in_time, .. } = answered(verb, 1000, per_millisecond, patience).await;
            let case = format!("{verb:?}, {per_millisecond}/ms, {patience:?}: {in_time}");
            println!("{case}");
            assert!(in_time >= BEST * 9 / 10, "{case}");
        }
    }
}
