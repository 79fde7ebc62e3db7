//! The record of acknowledged writes.

use std::collections::BTreeMap;

use rsvp_core::Rsvp;

/// The known state of each written pair, `None` after a write of unknown effect.
///
/// It lacks pairs with failed writes only, if each of these had no effect.
/// Those pairs must be absent.
///
/// ```
/// use std::sync::Arc;
///
/// use rand::SeedableRng;
/// use rand::rngs::StdRng;
/// use rsvp_memory::MemoryStore;
/// use rsvp_testkit::ledger::{Ledger, Writers, lost};
///
/// # #[tokio::main]
/// # async fn main() {
/// let mut random = StdRng::seed_from_u64(rsvp_testkit::seed());
/// let store = Arc::new(MemoryStore::new());
/// let writers = Writers::start(store.clone(), 2, &mut random);
/// writers.acknowledge(10).await;
/// let ledger: Ledger = writers.stop().await;
/// assert!(ledger.known() <= ledger.len());
/// assert_eq!(lost(&*store, &ledger).await, 0);
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Ledger(pub(super) BTreeMap<Rsvp, Option<bool>>);

impl Ledger {
    /// Returns every pair, with its expected state.
    pub fn iter(&self) -> impl Iterator<Item = (&Rsvp, Option<bool>)> {
        self.0.iter().map(|(pair, state)| (pair, *state))
    }

    /// Returns the number of pairs, including those of unknown state.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the number of pairs of known state.
    pub fn known(&self) -> usize {
        self.0.values().flatten().count()
    }
}
