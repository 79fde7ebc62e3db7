//! A store that fails on purpose.

mod calls;
mod entries;
mod fate;
mod pending;

use std::collections::BTreeSet;
use std::fmt;
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rsvp_core::{Deadline, Effect, Error, EventId, Operation, Result, WriteOptions};
use tokio::time::sleep;

pub use self::fate::Faults;
use self::fate::{Fate, LateTimes};
use self::pending::{PendingWrites, Scope};

/// A store with faults around another store, by chance or on demand.
///
/// [`Faults`] has the probabilities.
/// The same seed and the same calls in the same order have the same faults.
///
/// A host tests its own handling of errors with [`fail_next`](Self::fail_next).
/// It gives one call an error of the host's choice:
///
/// ```
/// use rsvp_core::{Error, EventId, Operation, RsvpStoreExt, UserId};
/// use rsvp_memory::MemoryStore;
/// use rsvp_testkit::FaultStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> rsvp_core::Result<()> {
/// let store = FaultStore::new(MemoryStore::new(), 1);
/// store.fail_next(Operation::Write, Error::overloaded(Operation::Write));
///
/// let (user, event) = (UserId::from(1), EventId::from(2));
/// assert!(matches!(store.rsvp(&user, &event).await, Err(Error::Overloaded { .. })));
/// assert!(store.rsvp(&user, &event).await.is_ok());
/// # Ok(())
/// # }
/// ```
pub struct FaultStore<S> {
    store: Arc<S>,
    reads: Faults,
    writes: Faults,
    random: Mutex<StdRng>,
    /// Errors of the host's choice, each for the next call of an operation.
    next: Mutex<Vec<(Operation, Error)>>,
    refused: Mutex<BTreeSet<EventId>>,
    pending: PendingWrites,
    down: AtomicBool,
    enabled: AtomicBool,
    faults: AtomicU64,
}

impl<S> FaultStore<S> {
    /// Makes a store without faults yet. Tests should print the seed.
    pub fn new(store: S, seed: u64) -> Self {
        Self {
            store: Arc::new(store),
            reads: Faults::default(),
            writes: Faults::default(),
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            next: Mutex::default(),
            refused: Mutex::default(),
            pending: PendingWrites::default(),
            down: AtomicBool::new(false),
            enabled: AtomicBool::new(true),
            faults: AtomicU64::new(0),
        }
    }

    /// Sets the faults of reads and lists.
    #[must_use]
    pub fn with_reads(self, reads: Faults) -> Self {
        Self { reads, ..self }
    }

    /// Sets the faults of writes and steps of removals.
    #[must_use]
    pub fn with_writes(self, writes: Faults) -> Self {
        Self { writes, ..self }
    }

    /// Fails the next call of `operation` with `error`, without running it.
    ///
    /// Several errors of one operation fail one call after another.
    /// They come before any other fault, and even while faults are switched off.
    /// Nothing of the call takes effect, whatever the error says about that.
    pub fn fail_next(&self, operation: Operation, error: Error) {
        lock(&self.next).push((operation, error));
    }

    /// Refuses from now on every entry of a batch about `event`,
    /// as an engine does with an invalid entry. The other entries of the batch hold.
    /// The error is not retryable.
    ///
    /// ```
    /// use rsvp_core::{EventId, RsvpStoreExt, UserId};
    /// use rsvp_memory::MemoryStore;
    /// use rsvp_testkit::FaultStore;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let store = FaultStore::new(MemoryStore::new(), 1);
    /// let event = EventId::from(13);
    /// store.refuse_event(event.clone());
    /// let error = store.rsvp(&UserId::from(1), &event).await.unwrap_err();
    /// assert!(!error.is_retryable());
    /// # }
    /// ```
    pub fn refuse_event(&self, event: EventId) {
        lock(&self.refused).insert(event);
    }

    /// Switches an outage on or off. During it every call is refused before any effect.
    ///
    /// ```
    /// use rsvp_core::RsvpStore;
    /// use rsvp_memory::MemoryStore;
    /// use rsvp_testkit::FaultStore;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let store = FaultStore::new(MemoryStore::new(), 1);
    /// store.set_down(true);
    /// assert!(store.ready().await.is_err());
    /// store.set_down(false);
    /// assert!(store.ready().await.is_ok());
    /// # }
    /// ```
    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// Switches faults on or off for later calls. Defaults to on.
    pub fn set_enabled(&self, enabled: bool) {
        self.enabled.store(enabled, Ordering::SeqCst);
    }

    /// Returns the number of calls with a fault so far: failed, hung or late,
    /// in part or as a whole. Writes refused because of a pending one are not counted.
    pub fn faults(&self) -> u64 {
        self.faults.load(Ordering::SeqCst)
    }

    /// Returns the inner store. It has no faults.
    pub fn get_ref(&self) -> &S {
        &self.store
    }

    /// Returns the fault of a call.
    ///
    /// # Errors
    ///
    /// The error of [`told`](Self::told).
    fn fate(&self, operation: Operation) -> Result<Fate> {
        let faults = if operation.is_write() { &self.writes } else { &self.reads };
        // Draw first, so that `fail_next` does not change the faults of later calls.
        let drawn = Fate::draw(faults, operation, &mut lock(&self.random));
        self.told(operation)?;
        let fate = if self.down.load(Ordering::SeqCst) {
            Fate::Before { overloaded: false }
        } else if self.enabled.load(Ordering::SeqCst) {
            drawn
        } else {
            Fate::Nothing
        };
        self.faults.fetch_add(u64::from(!matches!(fate, Fate::Nothing)), Ordering::SeqCst);
        Ok(fate)
    }

    /// Fails a call for which a host has chosen an error.
    fn told(&self, operation: Operation) -> Result<()> {
        let mut next = lock(&self.next);
        let Some(at) = next.iter().position(|(of, _)| *of == operation) else { return Ok(()) };
        self.faults.fetch_add(1, Ordering::SeqCst);
        Err(next.remove(at).1)
    }

    /// Runs a call with a fault of the whole call.
    async fn meet<T>(
        &self,
        operation: Operation,
        fate: Fate,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        match fate {
            Fate::Before { overloaded: true } => Err(Error::overloaded(operation)),
            Fate::Before { overloaded: false } => Err(refused(operation)),
            Fate::After { timed_out } => {
                // Run the call and lose its answer. A real error of the call is passed on.
                call.await?;
                Err(if timed_out {
                    Error::timed_out(operation, Duration::ZERO, Effect::Unknown)
                } else {
                    lost(operation)
                })
            }
            Fate::Hang => pending().await,
            Fate::Delay(delay) => {
                sleep(delay).await;
                call.await
            }
            Fate::Partial(_) | Fate::Late(_) | Fate::Nothing => call.await,
        }
    }

    /// Fails a write, and runs it later on a task of its own.
    fn do_late<T: Send + 'static, F>(
        &self,
        operation: Operation,
        times: LateTimes,
        scopes: Vec<Scope>,
        call: impl FnOnce(Arc<S>, WriteOptions) -> F,
    ) -> Error
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        // The caller has its error already, so the late write has a deadline of its own.
        let options = WriteOptions::default().with_timeout(times.lands_within);
        let call = call(Arc::clone(&self.store), options);
        let until = Deadline::after(times.pending_for);
        let has_landed = self.pending.add(scopes, until);
        tokio::spawn(async move {
            sleep(times.lands_after).await;
            // There is no caller for the result.
            let _ = call.await;
            has_landed.store(true, Ordering::SeqCst);
        });
        Error::timed_out(operation, Duration::ZERO, Effect::Pending(until))
    }
}

/// The error of a call without effect.
fn refused(operation: Operation) -> Error {
    Error::unavailable(operation, Effect::NotApplied, None)
}

/// The error of a finished call with a lost answer.
fn lost(operation: Operation) -> Error {
    Error::unavailable(operation, Effect::Unknown, None)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: fmt::Debug> fmt::Debug for FaultStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultStore")
            .field("store", &self.store)
            .field("reads", &self.reads)
            .field("writes", &self.writes)
            .field("down", &self.down)
            .finish_non_exhaustive()
    }
}
