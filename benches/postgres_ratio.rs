//! How many times as many pairs a second the store takes as the by-hand way, in alternation.
//!
//! ```text
//! cargo bench -p rsvp-benches --bench postgres_ratio
//! ```
//!
//! Rounds of equal time alternate between the store (batches of 256 from 4 callers) and the by-hand
//! way (32 clients, one pair a statement) on one durable server, so that whatever else the machine
//! does falls on both. The ratio is that of the medians. In the end the tables must hold what each
//! way was given, and its counts must say so.
#![allow(clippy::print_stdout, clippy::expect_used, reason = "output is what it is for")]

use std::sync::Arc;
use std::time::Duration;

use rsvp_benches::{Crowd, Database, Invocation, Pairs};
use rsvp_core::RsvpStore;

const BATCH: usize = 256;
const CALLERS: usize = 4;

struct Plan {
    rounds: usize,
    time: Duration,
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

async fn compare(database: &Database, events: u64, plan: &Plan) {
    database.start_over(events).await;
    let (ours, theirs) = (Arc::new(Pairs::of(events)), Arc::new(Pairs::of(events)));
    let (mut store_rounds, mut by_hand_rounds) = (Vec::new(), Vec::new());
    for round in 1..=plan.rounds {
        let (store, pairs) = (database.store.clone(), ours.clone());
        let tally = Crowd(CALLERS).during(plan.time, move || {
            let (store, writes) = (store.clone(), pairs.take(BATCH));
            async move {
                store.write_batch(&writes).await.expect("a batch");
            }
        });
        let store = tally.await.per_second() * BATCH as f64;

        let (by_hand, pairs) = (database.by_hand.clone(), theirs.clone());
        let tally = Crowd(Database::CLIENTS).during(plan.time, move || {
            let (by_hand, pairs) = (by_hand.clone(), pairs.clone());
            async move { by_hand.take_one(&pairs).await }
        });
        let by_hand = tally.await.per_second();

        println!("round {round}: store {store:>8.0}, by hand {by_hand:>8.0} pairs/s");
        store_rounds.push(store);
        by_hand_rounds.push(by_hand);
    }
    database.verify(ours.taken(), theirs.taken()).await;
    let (store, by_hand) = (median(store_rounds), median(by_hand_rounds));
    let ratio = store / by_hand;
    println!(
        "{events} event(s): store {store:.0}, by hand {by_hand:.0} pairs/s, ratio {ratio:.1}\n"
    );
}

#[tokio::main]
async fn main() {
    let plan = match Invocation::of("postgres_ratio") {
        Invocation::Skip => return,
        Invocation::Try => Plan { rounds: 1, time: Duration::from_millis(100) },
        Invocation::Measure => Plan { rounds: 7, time: Duration::from_secs(3) },
    };
    let database = Database::start().await;
    let clients = Database::CLIENTS;
    println!("store: batches of {BATCH} from {CALLERS} callers; by hand: {clients} clients");
    for events in [1, 10_000] {
        compare(&database, events, &plan).await;
    }
}
