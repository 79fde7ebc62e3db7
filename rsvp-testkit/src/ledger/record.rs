//! The record of acknowledged writes.

use std::collections::BTreeMap;

use rsvp_core::Rsvp;

/// The known state of each written pair, `None` after a write of unknown effect.
///
/// It lacks pairs without an acknowledged write or one of unknown effect. Those must be absent.
#[derive(Clone, Debug, Default)]
pub struct Ledger(pub(super) BTreeMap<Rsvp, Option<bool>>);

impl Ledger {
    /// Every pair, with whether it must exist.
    pub fn iter(&self) -> impl Iterator<Item = (&Rsvp, Option<bool>)> {
        self.0.iter().map(|(pair, state)| (pair, *state))
    }

    /// The number of pairs, those of unknown state included.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of pairs of known state.
    pub fn known(&self) -> usize {
        self.0.values().flatten().count()
    }
}
