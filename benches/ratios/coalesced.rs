//! The ratio of the calls a second that the coalesced store takes to those of the baseline, in
//! alternation, one user a call.
//!
//! ```text
//! cargo bench -p rsvp-benches --bench ratios -- coalesced
//! ```
//!
//! 10,000 callers each make one call after another, an RSVP or a read: through the coalesced
//! Postgres store, or through the baseline, where they share a pool of 32 connections and each RSVP
//! is one statement. For reads the baseline also runs with a pool of sqlx's defaults, which pings a
//! connection before each use. Rounds of equal time alternate on one durable server. The ratio is
//! that of the medians. In the end the tables must hold the pairs that each was given, and their
//! counts must agree.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rsvp_benches::{Alternation, Database, Load, Pairs, PostgresBaseline};
use rsvp_core::layers::{CoalesceConfig, CoalescedStore, LayerExt};
use rsvp_core::{Rsvp, RsvpStoreExt};
use rsvp_postgres::PostgresStore;

const CALLERS: usize = 10_000;

type Coalesced = CoalescedStore<PostgresStore>;

/// What all callers share, for as long as the benchmark runs: counting ten thousand references
/// takes as long as a part of an answer.
fn shared<T: ?Sized>(it: impl Into<Box<T>>) -> &'static T {
    Box::leak(it.into())
}

async fn compare_writes(
    database: &Database,
    coalesced: &'static Coalesced,
    events: u64,
    alternation: Alternation,
) {
    database.start_over(events).await;
    let (ours, theirs): (&Pairs, &Pairs) = (shared(Pairs::of(events)), shared(Pairs::of(events)));
    let store = async |time| {
        let tally = Load(CALLERS).during(time, move || async move {
            let pair = ours.nth(ours.number());
            let receipt = coalesced.rsvp(&pair.user, &pair.event).await.expect("an RSVP");
            assert!(receipt.outcome.is_applied(), "{pair:?} was there already");
        });
        tally.await.per_second()
    };
    let hand: &PostgresBaseline = shared(database.baseline.clone());
    let baseline = async |time| {
        let tally = Load(CALLERS).during(time, move || hand.take_one(theirs));
        tally.await.per_second()
    };
    alternation.compare(&format!("RSVPs, {events} event(s)"), store, baseline).await;
    database.verify(ours.taken(), theirs.taken()).await;
}

/// Asks for pairs of which half exist, in no order.
async fn compare_reads(
    database: &Database,
    coalesced: &'static Coalesced,
    events: u64,
    alternation: Alternation,
) {
    const HELD: u64 = 200_000;
    const ASKED: usize = 1_000_000;
    database.start_over(events).await;
    let pairs: &Arc<Pairs> = shared(Arc::new(Pairs::of(events)));
    database.load(pairs, HELD).await;
    database.baseline.copy_store().await;
    let held = pairs.taken();
    // Made beforehand and asked for one after another: making ids, or looking for them all over the
    // memory, takes as long as a tenth of an answer.
    let draw = pairs.draw(ASKED, 2 * held).map(|n| (pairs.nth(n), n < held));
    let asked: &[(Rsvp, bool)] = shared(draw.collect::<Vec<_>>());
    let next: &AtomicUsize = shared(AtomicUsize::new(0));
    let draw = move || &asked[next.fetch_add(1, Ordering::Relaxed) % ASKED];
    let store = async |time| {
        let tally = Load(CALLERS).during(time, move || async move {
            let (pair, held) = draw();
            let has = coalesced.has_rsvped(&pair.user, &pair.event).await.expect("an answer");
            assert_eq!(has, *held, "{pair:?}");
        });
        tally.await.per_second()
    };
    let (lazy, tested) = (database.baseline.clone(), database.tested_baseline().await);
    for (title, hand) in [("", lazy), (", pool as sqlx makes it", tested)] {
        let hand: &PostgresBaseline = shared(hand);
        let baseline = async |time| {
            let tally = Load(CALLERS).during(time, move || async move {
                let (pair, held) = draw();
                assert_eq!(hand.has_rsvped(pair).await, *held, "{pair:?}");
            });
            tally.await.per_second()
        };
        let title = format!("has_rsvped, {events} event(s){title}");
        alternation.compare(&title, store, baseline).await;
    }
}

pub(crate) async fn run() {
    let Some(alternation) = Alternation::of("coalesced") else { return };
    let database = Database::start().await;
    let clients = Database::CLIENTS;
    println!("{CALLERS} callers; baseline: a pool of {clients} connections");
    let coalesced =
        PostgresStore::clone(&database.store).with_coalescing(CoalesceConfig::default());
    let coalesced: &Coalesced = shared(coalesced.expect("a legal configuration"));
    for events in [1, 10_000] {
        compare_writes(&database, coalesced, events, alternation).await;
        compare_reads(&database, coalesced, events, alternation).await;
    }
}
