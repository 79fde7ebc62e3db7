//! Writers who remember what was acknowledged, and the check that it holds.
//!
//! For tests of faults: the writers go on while the engine is killed, cut off or failed over, and
//! repeat what fails. What was acknowledged must be there afterwards.
//!
//! ```
//! use std::sync::Arc;
//!
//! use rand::SeedableRng;
//! use rand::rngs::StdRng;
//! use rsvp_memory::MemoryStore;
//! use rsvp_testkit::ledger::{Writers, check};
//!
//! # #[tokio::main]
//! # async fn main() {
//! let mut random = StdRng::seed_from_u64(rsvp_testkit::seed());
//! let store = Arc::new(MemoryStore::new());
//! let writers = Writers::start(store.clone(), 4, &mut random);
//! writers.acknowledge(100).await;
//! // Here something happens to the engine.
//! writers.acknowledge(100).await;
//! let ledger = writers.stop().await;
//! check(&*store, &ledger).await;
//! # }
//! ```

mod writers;

use std::collections::BTreeMap;

use rsvp_core::{Consistency, Rsvp, RsvpStore, UserId, Write};

pub use self::writers::Writers;
use crate::Model;

/// What is known about each pair that was written: `None` after a write of unknown effect.
///
/// Pairs of which no write was acknowledged or of unknown effect are not in it: they must be
/// absent.
#[derive(Clone, Debug, Default)]
pub struct Ledger(BTreeMap<Rsvp, Option<bool>>);

impl Ledger {
    /// Every pair, with whether it must exist.
    pub fn iter(&self) -> impl Iterator<Item = (&Rsvp, Option<bool>)> {
        self.0.iter().map(|(pair, state)| (pair, *state))
    }

    /// How many pairs there are, those of unknown state included.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Of how many pairs it is known whether they must exist.
    pub fn known(&self) -> usize {
        self.0.values().flatten().count()
    }
}

/// Checks that `store` holds what was acknowledged, and nothing that was not written.
///
/// Every pair whose last write was acknowledged is exactly so. Nobody else is in, by a scan. All
/// counts are those of the lists, and both directions of the lists agree: the attendees of each
/// event and the events of each user. Lists and scans may repeat entries. Prints one line of
/// figures.
///
/// # Panics
///
/// If anything of that is not so, or a read fails.
pub async fn check(store: &dyn RsvpStore, ledger: &Ledger) {
    let mut model = Model::new();
    // Also the events of which no write is remembered must have nobody in and count nobody.
    for event in writers::events() {
        model.write(&Write::cancel(UserId::from(0_u64), event));
    }
    let mut present = 0;
    for ((pair, state), held) in ledger.iter().zip(held(store, ledger).await) {
        assert!(
            state.is_none_or(|state| state == held),
            "the last acknowledged write of {pair:?} left {state:?}, the store holds {held}"
        );
        let Rsvp { user, event } = pair.clone();
        model.write(&if held { Write::rsvp(user, event) } else { Write::cancel(user, event) });
        present += usize::from(held);
    }
    model.assert_held_by(store).await;
    let unknown = ledger.len() - ledger.known();
    println!("{} pairs, {present} of them in, {unknown} of unknown state", ledger.len());
}

/// How many acknowledged writes do not hold: the pairs whose state differs from what their last
/// acknowledged write left. Checks nothing else.
///
/// For engines that are known to lose some.
///
/// # Panics
///
/// If a read fails.
pub async fn lost(store: &dyn RsvpStore, ledger: &Ledger) -> usize {
    let held = held(store, ledger).await;
    let differs = |state: Option<bool>, held| state.is_some_and(|state| state != held);
    ledger.iter().zip(held).filter(|((_, state), held)| differs(*state, *held)).count()
}

/// For each pair of the ledger, whether the store holds it.
async fn held(store: &dyn RsvpStore, ledger: &Ledger) -> Vec<bool> {
    let pairs: Vec<Rsvp> = ledger.0.keys().cloned().collect();
    let held = store.has_rsvped_batch(&pairs, &Consistency::Strong).await.unwrap();
    assert_eq!(held.len(), pairs.len(), "one answer for each pair");
    held
}
