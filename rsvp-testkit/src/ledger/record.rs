//! The record of what was acknowledged.

use std::collections::BTreeMap;

use rsvp_core::Rsvp;

/// What is known about each pair that was written: `None` after a write of unknown effect.
///
/// Pairs of which no write was acknowledged or of unknown effect are not in it: they must be
/// absent.
#[derive(Clone, Debug, Default)]
pub struct Ledger(pub(super) BTreeMap<Rsvp, Option<bool>>);

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
