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

use rsvp_benches::{Alternation, Crowd, Database, Pairs};
use rsvp_core::RsvpStore;

const BATCH: usize = 256;
const CALLERS: usize = 4;

async fn compare(database: &Database, events: u64, alternation: Alternation) {
    database.start_over(events).await;
    let (ours, theirs) = (Arc::new(Pairs::of(events)), Arc::new(Pairs::of(events)));
    let store = async |time| {
        let (store, pairs) = (database.store.clone(), ours.clone());
        let tally = Crowd(CALLERS).during(time, move || {
            let (store, writes) = (store.clone(), pairs.take(BATCH));
            async move {
                store.write_batch(&writes).await.expect("a batch");
            }
        });
        tally.await.per_second() * BATCH as f64
    };
    let by_hand = async |time| {
        let (by_hand, pairs) = (database.by_hand.clone(), theirs.clone());
        let tally = Crowd(Database::CLIENTS).during(time, move || {
            let (by_hand, pairs) = (by_hand.clone(), pairs.clone());
            async move { by_hand.take_one(&pairs).await }
        });
        tally.await.per_second()
    };
    alternation.compare(&format!("written pairs, {events} event(s)"), store, by_hand).await;
    database.verify(ours.taken(), theirs.taken()).await;
}

#[tokio::main]
async fn main() {
    let Some(alternation) = Alternation::of("postgres_ratio") else { return };
    let database = Database::start().await;
    let clients = Database::CLIENTS;
    println!("store: batches of {BATCH} from {CALLERS} callers; by hand: {clients} clients");
    for events in [1, 10_000] {
        compare(&database, events, alternation).await;
    }
}
