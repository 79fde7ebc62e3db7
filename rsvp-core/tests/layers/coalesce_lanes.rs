//! The lanes of a coalesced store, with several hot events.

use std::sync::Arc;
use std::time::Duration;

use rsvp_core::layers::CoalesceConfig;
use rsvp_core::{RsvpStoreExt, WriteOptions};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::engine::{Engine, Modelled, modelled};
use crate::hooked::Hooked;
use crate::{event, user};

const HOT: u64 = 8;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Eight hot events, with 200 writers each, who write until this time has passed.
fn hot_events(time: Duration) -> (Modelled, Arc<Hooked<Engine>>, JoinSet<()>) {
    let (store, engine) = modelled(CoalesceConfig::default().with_max_batch(64));
    let end = Instant::now() + time;
    let mut writers = JoinSet::new();
    for writer in 0..HOT * 200 {
        let store = store.clone();
        writers.spawn(async move {
            for number in 0_u64.. {
                if Instant::now() >= end {
                    break;
                }
                let options = WriteOptions::default().with_timeout(ms(2000));
                let guest = user(writer << 32 | number);
                drop(store.rsvp_with(&guest, &event(writer % HOT), options).await);
            }
        });
    }
    (store, engine, writers)
}

/// Writes to another event, and returns the time of that.
async fn write_to_another(store: &Modelled) -> Duration {
    let began = Instant::now();
    store.rsvp(&user(1_u64), &event(99_u64)).await.unwrap();
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn hot_events_come_to_use_all_lanes_and_the_others_have_one_when_they_write() {
    let (store, engine, writers) = hot_events(ms(5000));
    sleep(ms(2000)).await;
    engine.batches();
    sleep(ms(1000)).await;
    let entries: usize = engine.batches().iter().map(|(_, entries)| entries).sum();
    // A batch of 64 takes 8.2 ms, which the clock rounds up.
    let most = 4.0 * 64.0 / 0.009;
    println!("{entries} of {most} in a second");
    assert!(entries as f64 >= 0.95 * most, "{entries} of {most}");
    assert_eq!(engine.most_batches(), 4);
    for _ in 0..3 {
        assert_eq!(write_to_another(&store).await, ms(6), "as long as without the hot events");
        sleep(ms(100)).await;
    }
    assert!(engine.most_batches() <= 5);
    writers.join_all().await;
}

#[tokio::test(start_paused = true)]
async fn hot_events_that_are_locked_leave_a_lane_to_the_others() {
    let (store, engine, writers) = hot_events(ms(4000));
    sleep(ms(2000)).await;
    (0..HOT).for_each(|hot| engine.lock(&event(hot)));
    sleep(ms(50)).await;
    for _ in 0..3 {
        assert_eq!(write_to_another(&store).await, ms(6));
    }
    (0..HOT).for_each(|hot| engine.unlock(&event(hot)));
    writers.join_all().await;
}
