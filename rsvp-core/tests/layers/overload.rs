//! More load than a coalesced store can take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use rsvp_core::layers::{CoalesceConfig, CoalescedStore, LayerExt};
use rsvp_core::{Effect, Error, RsvpStoreExt};
use rsvp_memory::MemoryStore;
use rsvp_testkit::{FaultStore, Faults};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

use crate::{event, user};

const MAX_PENDING: usize = 1000;
const TIME: Duration = Duration::from_secs(2);

type Slow = Arc<CoalescedStore<FaultStore<MemoryStore>>>;

/// A batch of at most 100 takes up to 10 ms.
fn slow(seed: u64) -> Slow {
    let late = Faults { delay: 1.0, longest_delay: Duration::from_millis(10), ..Faults::default() };
    let config = CoalesceConfig::default().with_lanes(1);
    let config = config.with_max_batch(100).with_max_pending(MAX_PENDING);
    Arc::new(
        FaultStore::new(MemoryStore::new(), seed)
            .with_writes(late)
            .with_coalescing(config)
            .unwrap(),
    )
}

/// How many RSVPs are done by callers who wait for their answers, and fill the queue.
async fn best(store: Slow) -> u64 {
    let end = Instant::now() + TIME;
    let mut callers = JoinSet::new();
    for caller in 0..MAX_PENDING as u64 {
        let store = store.clone();
        callers.spawn(async move {
            let mut done = 0_u64;
            while Instant::now() < end {
                store.rsvp(&user(caller), &event(done)).await.unwrap();
                done += 1;
            }
            done
        });
    }
    callers.join_all().await.into_iter().sum()
}

#[tokio::test(start_paused = true)]
async fn at_five_times_the_load_nearly_the_best_is_done_and_the_rest_is_refused_at_once() {
    let seed = rsvp_testkit::seed();
    println!("{}={seed}", rsvp_testkit::SEED_VARIABLE);
    let best = best(slow(seed)).await;
    let store = slow(seed);
    let per_millisecond = 5 * best / TIME.as_millis() as u64;
    let (completed, mut refused) = (Arc::new(AtomicU64::new(0)), 0_u64);
    let mut calls = JoinSet::new();
    let mut ticks = interval(Duration::from_millis(1));
    let end = Instant::now() + TIME;
    let mut number = 0_u64;
    while Instant::now() < end {
        ticks.tick().await;
        for _ in 0..per_millisecond {
            number += 1;
            let (store, completed) = (store.clone(), completed.clone());
            let mut call = Box::pin(async move {
                store.rsvp(&user(number), &event(number % 10)).await?;
                if Instant::now() <= end {
                    completed.fetch_add(1, Ordering::SeqCst);
                }
                Ok(())
            });
            match call.as_mut().now_or_never() {
                None => drop(calls.spawn(call)),
                Some(Ok(())) => panic!("an answer without a batch"),
                Some(Err(error)) => {
                    assert!(matches!(error, Error::Overloaded { .. }), "{error}");
                    assert_eq!(error.effect(), Effect::NotApplied);
                    refused += 1;
                }
            }
        }
        // Of ten events alike each fills a tenth of what all of them have room for.
        assert!(store.pending() <= 2 * MAX_PENDING, "{} wait", store.pending());
    }
    let completed = completed.load(Ordering::SeqCst);
    println!("best {best}, completed {completed}, refused {refused}");
    assert!(completed * 10 >= best * 9, "{completed} of {best}");
    assert!(refused > 3 * best, "{refused} of {number} refused");
    for answer in calls.join_all().await {
        answer.unwrap();
    }
    assert_eq!(store.pending(), 0);
}
