//! The store under test, and the faults of its engine that cases may cause.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rsvp_core::{EventId, RsvpStore};

use super::engine::Engine;
use crate::ids::event;

/// A fault of the engine under a store. A case causes it once.
type Hook = Mutex<Option<Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>>>;

/// A store under test, with the guards that must outlive it.
///
/// Any store converts into it with `From`, so `conformance!(MyStore::new())` is enough.
/// A store with a server, a temporary folder or a database of its own keeps the guard
/// with [`holding`](Self::holding).
/// [`layered`](Self::layered) tests a layer around a store of this crate.
///
/// Two cases need the help of the subject: [`stopped_by`](Self::stopped_by)
/// and [`refusing`](Self::refusing).
/// A subject without this help excepts these cases, with a reason.
///
/// ```
/// use rsvp_core::RsvpStore;
/// use rsvp_memory::MemoryStore;
/// use rsvp_testkit::Subject;
///
/// fn subject() -> Subject {
///     let folder = std::env::temp_dir();
///     // A store in `folder` would come here. The folder is removed after the store.
///     Subject::from(MemoryStore::new()).holding(folder)
/// }
/// ```
pub struct Subject {
    store: Arc<dyn RsvpStore>,
    peer: Option<Arc<dyn RsvpStore>>,
    stop: Hook,
    refuse: Option<(EventId, Hook)>,
    guards: Vec<Box<dyn Any + Send + Sync>>,
}

impl Subject {
    /// Tests a layer around a store that keeps the contract, with all the help of the two cases.
    ///
    /// It makes the layer twice, on the same data, like two processes.
    /// So it finds a cache without the writes of other processes.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rsvp_core::layers::{LayerExt, TimeoutConfig};
    /// use rsvp_memory::MemoryStore;
    /// use rsvp_testkit::Subject;
    ///
    /// rsvp_testkit::conformance!(Subject::layered(MemoryStore::new(), |store| {
    ///     store.with_timeout(TimeoutConfig::new(Duration::from_secs(60))).unwrap()
    /// }));
    /// ```
    pub fn layered<S: RsvpStore + 'static>(
        engine: impl RsvpStore + 'static,
        mut layer: impl FnMut(Arc<dyn RsvpStore>) -> S,
    ) -> Self {
        Self::connected(&[Engine::new(engine)], |engines| layer(engines[0].connect()))
    }

    /// As [`layered`](Self::layered), over several stores, such as the shards of one.
    pub fn layered_over<E: RsvpStore + 'static, S: RsvpStore + 'static>(
        engines: impl IntoIterator<Item = E>,
        mut layer: impl FnMut(Vec<Arc<dyn RsvpStore>>) -> S,
    ) -> Self {
        let engines: Vec<_> = engines.into_iter().map(Engine::new).collect();
        Self::connected(&engines, |engines| layer(engines.iter().map(Engine::connect).collect()))
    }

    fn connected<S: RsvpStore + 'static>(
        engines: &[Engine],
        mut layer: impl FnMut(&[Engine]) -> S,
    ) -> Self {
        let (stopped, refusing) = (engines.to_vec(), engines.to_vec());
        let refused = event("refused by the engine");
        let stop = async move || stopped.iter().for_each(Engine::stop);
        let refuse = {
            let refused = refused.clone();
            async move || refusing.iter().for_each(|engine| engine.refuse(refused.clone()))
        };
        // Two layers on the same engines are like two processes.
        Self::from(layer(engines))
            .with_peer(layer(engines))
            .stopped_by(stop)
            .refusing(refused, refuse)
    }

    /// Tests with a second store on the same data, like that of another process.
    /// Writes through one are read through the other. Defaults to the store itself.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use rsvp_memory::MemoryStore;
    /// use rsvp_testkit::Subject;
    ///
    /// fn subject() -> Subject {
    ///     let data = Arc::new(MemoryStore::new());
    ///     Subject::from(data.clone()).with_peer(data)
    /// }
    /// ```
    #[must_use]
    pub fn with_peer(self, peer: impl RsvpStore + 'static) -> Self {
        Self { peer: Some(Arc::new(peer)), ..self }
    }

    /// Sets the way to stop the engine for the case `a_store_that_cannot_write_is_not_ready`.
    /// The engine must take no more writes: shut down, cut off, or read-only.
    #[must_use]
    pub fn stopped_by<F: Future<Output = ()> + Send + 'static>(
        self,
        stop: impl FnOnce() -> F + Send + 'static,
    ) -> Self {
        Self { stop: hook(stop), ..self }
    }

    /// Sets the way to make the engine refuse writes to `event` and no others,
    /// for the case `an_entry_that_fails_takes_no_other_down`.
    #[must_use]
    pub fn refusing<F: Future<Output = ()> + Send + 'static>(
        self,
        event: EventId,
        refuse: impl FnOnce() -> F + Send + 'static,
    ) -> Self {
        Self { refuse: Some((event, hook(refuse))), ..self }
    }

    /// Keeps `guard` until the case is over, and drops it after the store.
    #[must_use]
    pub fn holding(mut self, guard: impl Any + Send + Sync) -> Self {
        self.guards.push(Box::new(guard));
        self
    }
}

fn hook<F: Future<Output = ()> + Send + 'static>(
    hook: impl FnOnce() -> F + Send + 'static,
) -> Hook {
    Mutex::new(Some(Box::new(move || Box::pin(hook()))))
}

/// Runs a hook once. Returns whether there was one.
async fn run(hook: &Hook) -> bool {
    // A case causes the fault once, so the hook is taken.
    let taken = hook.lock().unwrap_or_else(PoisonError::into_inner).take();
    match taken {
        Some(hook) => {
            hook().await;
            true
        }
        None => false,
    }
}

impl<S: RsvpStore + 'static> From<S> for Subject {
    fn from(store: S) -> Self {
        let store = Arc::new(store);
        Self { store, peer: None, stop: Hook::default(), refuse: None, guards: Vec::new() }
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Subject").field(&self.store).finish()
    }
}

/// The input of a case: an empty store without other users, and a seed.
///
/// ```
/// use rsvp_memory::MemoryStore;
/// use rsvp_testkit::{CASES, Subject, Trial};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let case = CASES.iter().find(|case| case.name == "duplicates_in_a_batch_each_have_their_outcome");
/// if let Some(case) = case {
///     let subject = Subject::from(MemoryStore::new());
///     (case.run)(&Trial::new(subject, 1, "regressions.txt")).await;
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Trial {
    pub(crate) store: Arc<dyn RsvpStore>,
    /// Another store on the same data, if there is one.
    pub(crate) peer: Arc<dyn RsvpStore>,
    pub(crate) seed: u64,
    /// The file with the seeds of failures of the model test, in the crate under test.
    pub(crate) regressions: &'static str,
    subject: Subject,
}

impl Trial {
    /// Makes a trial of `subject`. Its store must be empty.
    ///
    /// `regressions` is the file in which the model test keeps the seeds of failures.
    pub fn new(subject: Subject, seed: u64, regressions: &'static str) -> Self {
        let store = subject.store.clone();
        let peer = subject.peer.clone().unwrap_or_else(|| store.clone());
        Self { store, peer, seed, regressions, subject }
    }

    /// Returns the store and its peer in turn, for the callers of a race.
    pub(crate) fn either(&self, number: usize) -> Arc<dyn RsvpStore> {
        if number.is_multiple_of(2) { self.store.clone() } else { self.peer.clone() }
    }

    /// Returns the peer, if it is another store.
    pub(crate) fn other(&self) -> Option<&dyn RsvpStore> {
        self.subject.peer.as_deref()
    }

    /// Stops the engine.
    pub(crate) async fn stop_engine(&self) {
        let stopped = run(&self.subject.stop).await;
        assert!(stopped, "needs Subject::stopped_by, or an exception that says why there is none");
    }

    /// Makes the engine refuse writes to the returned event.
    pub(crate) async fn refused_event(&self) -> EventId {
        let refused = self.refused_event_if_any().await;
        refused.expect("needs Subject::refusing, or an exception that says why there is none")
    }

    /// As [`refused_event`](Self::refused_event), if the subject has a way to do it.
    pub(crate) async fn refused_event_if_any(&self) -> Option<EventId> {
        let (event, hook) = self.subject.refuse.as_ref()?;
        assert!(run(hook).await, "the engine refuses it already");
        Some(event.clone())
    }

    pub(crate) fn rng(&self) -> StdRng {
        StdRng::seed_from_u64(self.seed)
    }
}
