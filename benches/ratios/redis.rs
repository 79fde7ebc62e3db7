//! The ratio of the writes and reads a second of the Redis store to those of the baseline, in
//! alternation.
//!
//! ```text
//! cargo bench -p rsvp-benches --bench ratios -- redis
//! ```
//!
//! Rounds of equal time alternate between the store (batches of 256 from 8 callers) and the
//! baseline (256 tasks on one multiplexed connection, a pipelined pair of `SADD`s or `SREM`s for
//! each write, one `SISMEMBER` for each read) on one server. Writes are compared twice:
//!
//! - known users: 200,000 of them, with five RSVPs each, come to one event or to 10,000 and cancel
//!   again, so that what is stored keeps its size;
//! - new users: every RSVP is of a user whom nobody knew, on a server that is emptied before each
//!   way's turn. Each of them is a new key, which is most of the server's work and the same for
//!   both ways.
//!
//! It is done once with an append-only file that is written out every second, and once with one
//! that is written out before each answer.
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rsvp_benches::{Alternation, Keyspace, Load, Pairs, Population, ServerTime, Tally, write_all};
use rsvp_core::{ReadOptions, Rsvp, RsvpStore};
use rsvp_testkit::servers::Persistence;

const BATCH: usize = 256;
const CALLERS: usize = 8;
const USERS: u64 = 200_000;

/// Long enough to be measured, short enough for the two ways to work on sets of similar size.
const TURN: Duration = Duration::from_secs(1);

/// How many elements, and how many a second.
async fn counted(tally: impl Future<Output = Tally>, elements: usize) -> (f64, f64) {
    let (tally, elements) = (tally.await, elements as f64);
    (tally.calls as f64 * elements, tally.per_second() * elements)
}

/// All users are known, with five RSVPs each; they come to other events, or to another one, and
/// cancel.
async fn known_users(keyspace: &Keyspace, events: u64, alternation: Alternation) {
    keyspace.start_over().await;
    keyspace.load(&Arc::new(Pairs::of(10_000).with_users(USERS)), 5 * USERS).await;
    let (ours, theirs) =
        (Arc::new(Population::of(USERS, events)), Arc::new(Population::of(USERS, events)));
    let mut times = [ServerTime::default(); 2];
    let [our_time, their_time] = &mut times;
    let store = async |time| {
        let (store, population) = (keyspace.store.clone(), ours.clone());
        let tally = Load(CALLERS).during(time, move || {
            let (store, writes) = (store.clone(), population.take(BATCH));
            async move {
                write_all(&*store, &writes).await;
            }
        });
        our_time.meter(keyspace, counted(tally, BATCH)).await
    };
    let baseline = async |time| {
        let (baseline, population) = (keyspace.baseline.clone(), theirs.clone());
        let tally = Load(Keyspace::TASKS).during(time, move || {
            let (baseline, writes) = (baseline.clone(), population.take(1));
            async move {
                for write in &writes {
                    baseline.write(write).await;
                }
            }
        });
        their_time.meter(keyspace, counted(tally, 1)).await
    };
    let title = format!("writes of known users, {events} event(s)");
    alternation.compare(&title, store, baseline).await;
    let [ours_each, theirs_each] = times.map(ServerTime::micros);
    println!("the server's time for each: store {ours_each:.2} µs, baseline {theirs_each:.2} µs\n");
    let present: Vec<Rsvp> = ours.present().collect();
    let held = keyspace.store.has_rsvped_batch(&present, &ReadOptions::strong()).await;
    assert!(
        held.expect("answers").into_iter().all(|held| held.expect("an answer")),
        "what the store was given"
    );
}

/// All users are new, on an empty server.
async fn new_users(keyspace: &Keyspace, events: u64, alternation: Alternation) {
    let store = async |time| {
        keyspace.start_over().await;
        let (store, pairs) = (keyspace.store.clone(), Arc::new(Pairs::of(events)));
        let source = pairs.clone();
        let tally = Load(CALLERS).during(time, move || {
            let (store, writes) = (store.clone(), source.take(BATCH));
            async move {
                write_all(&*store, &writes).await;
            }
        });
        let tally = tally.await;
        let listed: Vec<_> = (0..events).map(Pairs::event).collect();
        let counts = keyspace.store.rsvp_count_batch(&listed, &ReadOptions::strong()).await;
        let counted: u64 =
            counts.expect("counts").into_iter().map(|count| count.expect("a count").value).sum();
        assert_eq!(counted, pairs.taken(), "what the store counts, and what it was given");
        tally.per_second() * BATCH as f64
    };
    let baseline = async |time| {
        keyspace.start_over().await;
        let (baseline, pairs) = (keyspace.baseline.clone(), Arc::new(Pairs::of(events)));
        let tally = Load(Keyspace::TASKS).during(time, move || {
            let (baseline, writes) = (baseline.clone(), pairs.take(1));
            async move {
                for write in &writes {
                    assert!(baseline.rsvp(&write.rsvp).await, "a new pair");
                }
            }
        });
        tally.await.per_second()
    };
    let title = format!("writes of new users, {events} event(s)");
    alternation.compare(&title, store, baseline).await;
}

async fn reads(keyspace: &Keyspace, events: u64, held: u64, alternation: Alternation) {
    keyspace.start_over().await;
    let pairs = Arc::new(Pairs::of(events));
    keyspace.load(&pairs, held).await;
    let store = async |time| {
        let (store, pairs) = (keyspace.store.clone(), pairs.clone());
        let tally = Load(CALLERS).during(time, move || {
            let asked: Vec<Rsvp> = pairs.draw(BATCH, held).map(|n| pairs.nth(n)).collect();
            let store = store.clone();
            async move {
                let answers = store.has_rsvped_batch(&asked, &ReadOptions::strong()).await;
                assert!(
                    answers.expect("answers").into_iter().all(|held| held.expect("an answer")),
                    "all are in"
                );
            }
        });
        tally.await.per_second() * BATCH as f64
    };
    let baseline = async |time| {
        let (baseline, pairs) = (keyspace.baseline.clone(), pairs.clone());
        let tally = Load(Keyspace::TASKS).during(time, move || {
            let asked: Vec<Rsvp> = pairs.draw(1, held).map(|n| pairs.nth(n)).collect();
            let baseline = baseline.clone();
            async move {
                for pair in &asked {
                    assert!(baseline.has_rsvped(pair).await, "all are in");
                }
            }
        });
        tally.await.per_second()
    };
    let title = format!("has_rsvped, {events} event(s), {held} pairs");
    alternation.compare(&title, store, baseline).await;
}

pub(crate) async fn run() {
    let Some(alternation) = Alternation::of("redis") else { return };
    let tasks = Keyspace::TASKS;
    println!("store: batches of {BATCH} from {CALLERS} callers; baseline: {tasks} tasks");
    for persistence in [Persistence::EverySecond, Persistence::Always] {
        let keyspace = Keyspace::start(persistence).await;
        for events in [1, 10_000] {
            known_users(&keyspace, events, alternation.with_time(TURN)).await;
            new_users(&keyspace, events, alternation.with_time(TURN)).await;
            reads(&keyspace, events, 200_000, alternation.with_time(TURN)).await;
        }
    }
}
