//! One case, run once against one fresh store.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rsvp_core::RsvpStore;

/// A store to be tested, with whatever must outlive it.
///
/// Made from any store by `From`, so that `conformance!(MyStore::new())` is enough. A store that
/// needs a server, a temporary folder or a database to itself keeps its guard with
/// [`holding`](Self::holding).
pub struct Subject {
    store: Arc<dyn RsvpStore>,
    guards: Vec<Box<dyn Any + Send + Sync>>,
}

impl Subject {
    /// Keeps `guard` until the case is over, and drops it after the store.
    #[must_use]
    pub fn holding(mut self, guard: impl Any + Send + Sync) -> Self {
        self.guards.push(Box::new(guard));
        self
    }
}

impl<S: RsvpStore + 'static> From<S> for Subject {
    fn from(store: S) -> Self {
        Self { store: Arc::new(store), guards: Vec::new() }
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Subject").field(&self.store).finish()
    }
}

/// What a case is given: a store that is empty and nobody else's, and a seed.
#[derive(Debug)]
pub struct Trial {
    pub(crate) store: Arc<dyn RsvpStore>,
    pub(crate) seed: u64,
    /// Where the model test keeps the seeds of failures, in the crate under test.
    pub(crate) regressions: &'static str,
    _subject: Subject,
}

impl Trial {
    /// A trial of `subject`, which must be an empty store.
    ///
    /// `regressions` is the file in which the model test remembers what has failed once.
    pub fn new(subject: Subject, seed: u64, regressions: &'static str) -> Self {
        Self { store: subject.store.clone(), seed, regressions, _subject: subject }
    }

    pub(crate) fn rng(&self) -> StdRng {
        StdRng::seed_from_u64(self.seed)
    }
}
