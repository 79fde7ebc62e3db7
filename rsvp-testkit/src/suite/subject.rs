//! One case, run once against one fresh store.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rsvp_core::RsvpStore;

/// A store to be tested, with the guards that must outlive it.
///
/// Made from any store by `From`, so that `conformance!(MyStore::new())` is enough. A store that
/// needs a server, a temporary folder or a database to itself keeps its guard with
/// [`holding`](Self::holding).
pub struct Subject {
    store: Arc<dyn RsvpStore>,
    peer: Arc<dyn RsvpStore>,
    guards: Vec<Box<dyn Any + Send + Sync>>,
}

impl Subject {
    /// Tests with a second store on the same data, as another process would have it. Writes through
    /// one are read through the other. Defaults to the store itself.
    #[must_use]
    pub fn with_peer(self, peer: impl RsvpStore + 'static) -> Self {
        Self { peer: Arc::new(peer), ..self }
    }

    /// Keeps `guard` until the case is over, and drops it after the store.
    #[must_use]
    pub fn holding(mut self, guard: impl Any + Send + Sync) -> Self {
        self.guards.push(Box::new(guard));
        self
    }
}

impl<S: RsvpStore + 'static> From<S> for Subject {
    fn from(store: S) -> Self {
        let store: Arc<dyn RsvpStore> = Arc::new(store);
        Self { peer: store.clone(), store, guards: Vec::new() }
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Subject").field(&self.store).finish()
    }
}

/// The input of a case: an empty store that no other test uses, and a seed.
#[derive(Debug)]
pub struct Trial {
    pub(crate) store: Arc<dyn RsvpStore>,
    /// The same data through another store, if there is one.
    pub(crate) peer: Arc<dyn RsvpStore>,
    pub(crate) seed: u64,
    /// The file in which the model test keeps the seeds of failures, in the crate under test.
    pub(crate) regressions: &'static str,
    _subject: Subject,
}

impl Trial {
    /// A trial of `subject`, which must be an empty store.
    ///
    /// `regressions` is the file in which the model test keeps the seeds of failures.
    pub fn new(subject: Subject, seed: u64, regressions: &'static str) -> Self {
        let (store, peer) = (subject.store.clone(), subject.peer.clone());
        Self { store, peer, seed, regressions, _subject: subject }
    }

    /// The store and its peer in turn, for the callers of a race.
    pub(crate) fn either(&self, number: usize) -> Arc<dyn RsvpStore> {
        if number.is_multiple_of(2) { self.store.clone() } else { self.peer.clone() }
    }

    pub(crate) fn rng(&self) -> StdRng {
        StdRng::seed_from_u64(self.seed)
    }
}
