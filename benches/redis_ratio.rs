//! How many times as many writes and reads a second the Redis store does as the by-hand way, in
//! alternation.
//!
//! ```text
//! cargo bench -p rsvp-benches --bench redis_ratio
//! ```
//!
//! Rounds of equal time alternate between the store (batches of 256 from 8 callers) and the by-hand
//! way (256 tasks on one multiplexed connection, a pipelined pair of `SADD`s for each RSVP, one
//! `SISMEMBER` for each question) on one server. The server is emptied before each way's turn at
//! writing, so that neither works on what the other has left. Every written pair is of a new user. The counts of both ways must be
//! what was written. It is done once with an append-only file that is
//! written out every second, and once with one that is written out before each answer.
#![allow(clippy::print_stdout, clippy::expect_used, reason = "output is what it is for")]

use std::sync::Arc;
use std::time::Duration;

use rsvp_benches::{Alternation, Crowd, Keyspace, Pairs};
use rsvp_core::{Consistency, Rsvp, RsvpStore};
use rsvp_testkit::servers::Persistence;

const BATCH: usize = 256;
const CALLERS: usize = 8;

/// Long enough to be measured, short enough for the two ways to work on sets of similar size.
const TURN: Duration = Duration::from_secs(1);

async fn writes(keyspace: &Keyspace, events: u64, alternation: Alternation) {
    let store = async |time| {
        keyspace.start_over().await;
        let (store, pairs) = (keyspace.store.clone(), Arc::new(Pairs::of(events)));
        let source = pairs.clone();
        let tally = Crowd(CALLERS).during(time, move || {
            let (store, writes) = (store.clone(), source.take(BATCH));
            async move {
                store.write_batch(&writes).await.expect("a batch");
            }
        });
        let tally = tally.await;
        let listed: Vec<_> = (0..events).map(Pairs::event).collect();
        let counts = keyspace.store.rsvp_counts(&listed, &Consistency::Strong).await;
        let counted: u64 = counts.expect("counts").iter().map(|count| count.value).sum();
        assert_eq!(counted, pairs.taken(), "what the store counts, and what it was given");
        tally.per_second() * BATCH as f64
    };
    let by_hand = async |time| {
        keyspace.start_over().await;
        let (by_hand, pairs) = (keyspace.by_hand.clone(), Arc::new(Pairs::of(events)));
        let tally = Crowd(Keyspace::TASKS).during(time, move || {
            let (by_hand, writes) = (by_hand.clone(), pairs.take(1));
            async move {
                for write in &writes {
                    assert!(by_hand.rsvp(&write.rsvp).await, "a new pair");
                }
            }
        });
        tally.await.per_second()
    };
    let title = format!("written pairs, {events} event(s)");
    alternation.compare(&title, store, by_hand).await;
}

async fn reads(keyspace: &Keyspace, events: u64, held: u64, alternation: Alternation) {
    keyspace.start_over().await;
    let pairs = Arc::new(Pairs::of(events));
    keyspace.load(&pairs, held).await;
    let store = async |time| {
        let (store, pairs) = (keyspace.store.clone(), pairs.clone());
        let tally = Crowd(CALLERS).during(time, move || {
            let asked: Vec<Rsvp> = pairs.draw(BATCH, held).map(|n| pairs.nth(n)).collect();
            let store = store.clone();
            async move {
                let answers = store.has_rsvped_batch(&asked, &Consistency::Strong).await;
                assert!(answers.expect("answers").into_iter().all(|held| held), "all are in");
            }
        });
        tally.await.per_second() * BATCH as f64
    };
    let by_hand = async |time| {
        let (by_hand, pairs) = (keyspace.by_hand.clone(), pairs.clone());
        let tally = Crowd(Keyspace::TASKS).during(time, move || {
            let asked: Vec<Rsvp> = pairs.draw(1, held).map(|n| pairs.nth(n)).collect();
            let by_hand = by_hand.clone();
            async move {
                for pair in &asked {
                    assert!(by_hand.has_rsvped(pair).await, "all are in");
                }
            }
        });
        tally.await.per_second()
    };
    let title = format!("has_rsvped, {events} event(s), {held} pairs");
    alternation.compare(&title, store, by_hand).await;
}

#[tokio::main]
async fn main() {
    let Some(alternation) = Alternation::of("redis_ratio") else { return };
    let tasks = Keyspace::TASKS;
    println!("store: batches of {BATCH} from {CALLERS} callers; by hand: {tasks} tasks");
    for persistence in [Persistence::EverySecond, Persistence::Always] {
        let keyspace = Keyspace::start(persistence).await;
        for events in [1, 10_000] {
            writes(&keyspace, events, alternation.with_time(TURN)).await;
            reads(&keyspace, events, 200_000, alternation.with_time(TURN)).await;
        }
    }
}
