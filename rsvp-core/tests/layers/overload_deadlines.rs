//! More load than a coalesced store can take, from callers with deadlines.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rsvp_core::layers::{CoalesceConfig, LayerExt};
use rsvp_core::{Effect, Error, Operation, Result, RsvpStoreExt, Write, WriteOptions};
use rsvp_memory::MemoryStore;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep_until};

use crate::hooked::{Hook, Hooked};
use crate::{event, user};

/// 5 ms for each batch. It keeps deadlines.
#[derive(Debug, Default)]
struct Slow {
    store: MemoryStore,
}

impl Hook for Slow {
    fn store(&self) -> &MemoryStore {
        &self.store
    }

    async fn write_with<T: Send>(
        &self,
        _: &[Write],
        options: &WriteOptions,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let end = Instant::now() + Duration::from_millis(5);
        match options.deadline {
            Some(deadline) if deadline.instant() < end => {
                sleep_until(deadline.instant()).await;
                Err(Error::timed_out(
                    Operation::Write,
                    Duration::from_millis(5),
                    Effect::NotApplied,
                ))
            }
            _ => {
                sleep_until(end).await;
                call.await
            }
        }
    }
}

/// Returns the number of RSVPs acknowledged within 2 s, of this number each millisecond.
async fn acknowledged(events: u64, per_millisecond: u64, patience: Duration) -> u64 {
    let config = CoalesceConfig::default().with_lanes(1);
    let config = config.with_max_batch(100).with_max_pending(1000);
    let store = Arc::new(Hooked(Slow::default()).with_coalescing(config).unwrap());
    let end = Instant::now() + Duration::from_secs(2);
    let (good, mut number) = (Arc::new(AtomicU64::new(0)), 0);
    let (mut ticks, mut calls) = (interval(Duration::from_millis(1)), JoinSet::new());
    while Instant::now() < end {
        ticks.tick().await;
        for _ in 0..per_millisecond {
            number += 1;
            let (store, good) = (store.clone(), good.clone());
            let (guest, fair) = (user(number), event(number * 7 % events));
            calls.spawn(async move {
                let options = WriteOptions::default().with_timeout(patience);
                if store.rsvp_with(&guest, &fair, options).await.is_ok() && Instant::now() <= end {
                    good.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    }
    calls.join_all().await;
    good.load(Ordering::Relaxed)
}

/// The best is a batch of 100 each 5 ms. A full queue takes 100 ms, longer than the callers wait.
#[tokio::test(start_paused = true)]
async fn requests_after_their_deadlines_take_no_place_in_a_batch() {
    const BEST: u64 = 40_000;
    for (events, per_millisecond, patience) in [(10, 24, 50), (10, 100, 90), (1000, 100, 50)] {
        let patience = Duration::from_millis(patience);
        let good = acknowledged(events, per_millisecond, patience).await;
        let case = format!("{events} events, {per_millisecond}/ms, {patience:?}: {good}");
        println!("{case}");
        assert!(good >= BEST * 9 / 10, "{case}");
    }
}
