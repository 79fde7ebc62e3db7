//! How many times as many calls a second the coalesced store takes as the by-hand way, in
//! alternation, one user a call.
//!
//! ```text
//! cargo bench -p rsvp-benches --bench coalesced_ratio
//! ```
//!
//! 10,000 callers each make one call after another, an RSVP or a question: through the coalesced
//! Postgres store, or by hand, where they share a pool of 32 connections and each RSVP is one
//! statement. For questions the by-hand way is also told with a pool as sqlx makes it, which asks
//! a connection whether it lives before using it. Rounds of equal time alternate on one durable
//! server. The ratio is that of the medians. In the end the tables must hold what each way was given, and its counts must say so.
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "output is what it is for"
)]

use std::sync::Arc;

use rsvp_benches::{Alternation, Crowd, Database, Pairs};
use rsvp_core::{CoalesceConfig, CoalescedStore, Rsvp, RsvpStoreExt};
use rsvp_postgres::PostgresStore;

const CALLERS: usize = 10_000;

type Coalesced = Arc<CoalescedStore<Arc<PostgresStore>>>;

async fn compare_writes(
    database: &Database,
    coalesced: &Coalesced,
    events: u64,
    alternation: Alternation,
) {
    database.start_over(events).await;
    let (ours, theirs) = (Arc::new(Pairs::of(events)), Arc::new(Pairs::of(events)));
    let store = async |time| {
        let (store, pairs) = (coalesced.clone(), ours.clone());
        let tally = Crowd(CALLERS).during(time, move || {
            let (store, pair) = (store.clone(), pairs.nth(pairs.number()));
            async move {
                let receipt = store.rsvp(&pair.user, &pair.event).await.expect("an RSVP");
                assert!(receipt.outcome.is_applied(), "{pair:?} was there already");
            }
        });
        tally.await.per_second()
    };
    let by_hand = async |time| {
        let (by_hand, pairs) = (database.by_hand.clone(), theirs.clone());
        let tally = Crowd(CALLERS).during(time, move || {
            let (by_hand, pairs) = (by_hand.clone(), pairs.clone());
            async move { by_hand.take_one(&pairs).await }
        });
        tally.await.per_second()
    };
    alternation.compare(&format!("RSVPs, {events} event(s)"), store, by_hand).await;
    database.verify(ours.taken(), theirs.taken()).await;
}

/// Asks for pairs of which half exist, in no order.
async fn compare_questions(
    database: &Database,
    coalesced: &Coalesced,
    events: u64,
    alternation: Alternation,
) {
    const HELD: u64 = 200_000;
    database.start_over(events).await;
    let pairs = Arc::new(Pairs::of(events));
    database.load(&pairs, HELD).await;
    database.by_hand.copy_store().await;
    let held = pairs.taken();
    // Made beforehand: making ids takes as long as a tenth of an answer.
    let asked: Arc<[Rsvp]> = (0..2 * held).map(|n| pairs.nth(n)).collect();
    let store = async |time| {
        let (store, pairs, asked) = (coalesced.clone(), pairs.clone(), asked.clone());
        let tally = Crowd(CALLERS).during(time, move || {
            let n = pairs.draw(1, 2 * held).next().unwrap_or(0);
            let (store, asked) = (store.clone(), asked.clone());
            async move {
                let pair = &asked[n as usize];
                let has = store.has_rsvped(&pair.user, &pair.event).await.expect("an answer");
                assert_eq!(has, n < held, "{pair:?}");
            }
        });
        tally.await.per_second()
    };
    let tested = database.by_hand_tested().await;
    for (title, by_hand) in [("", &database.by_hand), (", pool as sqlx makes it", &tested)] {
        let by_hand = async |time| {
            let (by_hand, pairs, asked) = (by_hand.clone(), pairs.clone(), asked.clone());
            let tally = Crowd(CALLERS).during(time, move || {
                let n = pairs.draw(1, 2 * held).next().unwrap_or(0);
                let (by_hand, asked) = (by_hand.clone(), asked.clone());
                async move {
                    let pair = &asked[n as usize];
                    assert_eq!(by_hand.has_rsvped(pair).await, n < held, "{pair:?}");
                }
            });
            tally.await.per_second()
        };
        let title = format!("has_rsvped, {events} event(s){title}");
        alternation.compare(&title, store, by_hand).await;
    }
}

#[tokio::main]
async fn main() {
    let Some(alternation) = Alternation::of("coalesced_ratio") else { return };
    let database = Database::start().await;
    let clients = Database::CLIENTS;
    println!("{CALLERS} callers; by hand: a pool of {clients} connections");
    let coalesced = Arc::new(database.store.clone().coalesced(CoalesceConfig::default()));
    for events in [1, 10_000] {
        compare_writes(&database, &coalesced, events, alternation).await;
        compare_questions(&database, &coalesced, events, alternation).await;
    }
}
