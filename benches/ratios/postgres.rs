//! The ratio of the pairs a second that the store takes to those of the baseline, in alternation.
//!
//! ```text
//! cargo bench -p rsvp-benches --bench ratios -- postgres
//! ```
//!
//! Rounds of equal time alternate between the store (batches of 256 from 4 callers) and the
//! baseline (32 clients, one pair a statement) on one durable server, so that other work of the
//! machine falls on both. The ratio is that of the medians. In the end the tables must hold the
//! pairs that each was given, and their counts must agree.
use std::sync::Arc;

use rsvp_benches::{Alternation, Database, Load, Pairs, write_all};

const BATCH: usize = 256;
const CALLERS: usize = 4;

async fn compare(database: &Database, events: u64, alternation: Alternation) {
    database.start_over(events).await;
    let (ours, theirs) = (Arc::new(Pairs::of(events)), Arc::new(Pairs::of(events)));
    let store = async |time| {
        let (store, pairs) = (database.store.clone(), ours.clone());
        let tally = Load(CALLERS).during(time, move || {
            let (store, writes) = (store.clone(), pairs.take(BATCH));
            async move {
                write_all(&*store, &writes).await;
            }
        });
        tally.await.per_second() * BATCH as f64
    };
    let baseline = async |time| {
        let (baseline, pairs) = (database.baseline.clone(), theirs.clone());
        let tally = Load(Database::CLIENTS).during(time, move || {
            let (baseline, pairs) = (baseline.clone(), pairs.clone());
            async move { baseline.take_one(&pairs).await }
        });
        tally.await.per_second()
    };
    alternation.compare(&format!("written pairs, {events} event(s)"), store, baseline).await;
    database.verify(ours.taken(), theirs.taken()).await;
}

pub(crate) async fn run() {
    let Some(alternation) = Alternation::of("postgres") else { return };
    let database = Database::start().await;
    let clients = Database::CLIENTS;
    println!("store: batches of {BATCH} from {CALLERS} callers; baseline: {clients} clients");
    for events in [1, 10_000] {
        compare(&database, events, alternation).await;
    }
}
