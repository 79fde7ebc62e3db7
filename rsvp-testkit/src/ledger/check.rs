//! The checks of a store against the ledger.

use rsvp_core::{Rsvp, RsvpStore, UserId, Write};

use super::record::Ledger;
use super::writers;
use crate::calls::presence_of;
use crate::model::Model;

/// Checks that `store` has every acknowledged write, and nothing else.
///
/// Every pair with an acknowledged last write is in the state of that write.
/// A scan finds no other pair.
/// All counts equal the lengths of the lists, and both directions of the lists agree.
/// Lists and scans may repeat entries. It prints one line of figures.
///
/// # Panics
///
/// If any of these checks or a read fails.
pub async fn check(store: &dyn RsvpStore, ledger: &Ledger) {
    let mut model = Model::new();
    // Events without any remembered write must have no attendees and a count of zero.
    for event in writers::events() {
        model.write(&Write::cancel(UserId::from(0_u64), event));
    }
    let mut present = 0;
    for ((pair, state), held) in ledger.iter().zip(held(store, ledger).await) {
        assert!(
            state.is_none_or(|state| state == held),
            "the last acknowledged write of {pair:?} left {state:?}, the store holds {held}"
        );
        // A pair of unknown state is in the model as the store has it.
        // So the counts and lists must agree about it, too.
        let Rsvp { user, event } = pair.clone();
        model.write(&if held { Write::rsvp(user, event) } else { Write::cancel(user, event) });
        present += usize::from(held);
    }
    model.assert_held_by(store).await;
    let unknown = ledger.len() - ledger.known();
    println!("{} pairs, {present} of them in, {unknown} of unknown state", ledger.len());
}

/// Returns the number of lost acknowledged writes:
/// pairs in another state than their last acknowledged write left. It checks nothing else.
///
/// It is for engines known to lose some.
///
/// # Panics
///
/// If a read fails.
pub async fn lost(store: &dyn RsvpStore, ledger: &Ledger) -> usize {
    let held = held(store, ledger).await;
    let differs = |state: Option<bool>, held| state.is_some_and(|state| state != held);
    ledger.iter().zip(held).filter(|((_, state), held)| differs(*state, *held)).count()
}

/// Returns for each pair of the ledger whether the store has it.
async fn held(store: &dyn RsvpStore, ledger: &Ledger) -> Vec<bool> {
    let pairs: Vec<Rsvp> = ledger.0.keys().cloned().collect();
    presence_of(store, &pairs).await
}
