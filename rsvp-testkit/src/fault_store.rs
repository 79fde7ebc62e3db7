//! A store that fails on purpose.

use std::fmt;
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rsvp_core::{
    BatchReceipt, Count, Effect, Error, EventId, Label, LabelName, Maintenance, Operation, Page,
    PageLimit, PageRequest, ReadOptions, RemovalStep, Result, Rsvp, RsvpStore, UserId, Write,
    WriteOptions, async_trait,
};
use tokio::time::sleep;

/// The probabilities of each fault of a call. They add up to 1 at most and default to 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Refused, before any effect: unavailable, or overloaded.
    pub before: f64,
    /// Done, but the answer is lost: unavailable, or timed out, a write with unknown effect.
    pub after: f64,
    /// Neither done nor answered, for ever.
    pub hang: f64,
    /// Done later, by up to [`longest_delay`](Self::longest_delay).
    pub delay: f64,
    /// The longest delay.
    pub longest_delay: Duration,
}

/// A store around a store that fails before or after the effect, delays and hangs, by chance.
///
/// The same seed and the same calls in the same order meet the same faults. Made to fail
/// [altogether](Self::set_down), it refuses every call before any effect.
pub struct FaultStore<S> {
    store: S,
    reads: Faults,
    writes: Faults,
    random: Mutex<StdRng>,
    down: AtomicBool,
    enabled: AtomicBool,
    faults: AtomicU64,
}

/// The fate of one call.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Before { overloaded: bool },
    After { timed_out: bool },
    Hang,
    Delay(Duration),
    Nothing,
}

impl<S> FaultStore<S> {
    /// A store without faults yet. Print the seed.
    pub fn new(store: S, seed: u64) -> Self {
        Self {
            store,
            reads: Faults::default(),
            writes: Faults::default(),
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            down: AtomicBool::new(false),
            enabled: AtomicBool::new(true),
            faults: AtomicU64::new(0),
        }
    }

    /// With faults of reads, lists among them.
    #[must_use]
    pub fn with_reads(self, reads: Faults) -> Self {
        Self { reads, ..self }
    }

    /// With faults of writes and steps of removals.
    #[must_use]
    pub fn with_writes(self, writes: Faults) -> Self {
        Self { writes, ..self }
    }

    /// Refuses every later call, or none.
    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// Switches faults on or off for later calls. Defaults to on.
    pub fn set_enabled(&self, enabled: bool) {
        self.enabled.store(enabled, Ordering::SeqCst);
    }

    /// The number of calls that have failed, hung or been late so far.
    pub fn faults(&self) -> u64 {
        self.faults.load(Ordering::SeqCst)
    }

    /// The store inside, which does not fail.
    pub fn get_ref(&self) -> &S {
        &self.store
    }

    /// The store inside.
    pub fn into_inner(self) -> S {
        self.store
    }

    fn fate(&self, operation: Operation) -> Fate {
        let faults = if operation.is_write() { self.writes } else { self.reads };
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        // Always as many draws, so that a fault does not change the fate of later calls.
        let (mut chance, one_of_two) = (random.random::<f64>(), random.random::<bool>());
        let delay = faults.longest_delay.mul_f64(random.random::<f64>());
        let mut is = |probability: f64| {
            chance -= probability;
            chance < 0.0
        };
        if self.down.load(Ordering::SeqCst) {
            Fate::Before { overloaded: false }
        } else if !self.enabled.load(Ordering::SeqCst) {
            Fate::Nothing
        } else if is(faults.before) {
            Fate::Before { overloaded: one_of_two }
        } else if is(faults.after) {
            Fate::After { timed_out: one_of_two }
        } else if is(faults.hang) {
            Fate::Hang
        } else if is(faults.delay) {
            Fate::Delay(delay)
        } else {
            Fate::Nothing
        }
    }

    async fn meet<T>(
        &self,
        operation: Operation,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let fate = self.fate(operation);
        if !matches!(fate, Fate::Nothing) {
            self.faults.fetch_add(1, Ordering::SeqCst);
        }
        match fate {
            Fate::Before { overloaded: true } => Err(Error::overloaded(operation)),
            Fate::Before { overloaded: false } => {
                Err(Error::unavailable(operation, Effect::NotApplied, None))
            }
            Fate::After { timed_out } => {
                call.await?;
                Err(if timed_out {
                    Error::timed_out(operation, Duration::ZERO, Effect::Unknown)
                } else {
                    Error::unavailable(operation, Effect::Unknown, None)
                })
            }
            Fate::Hang => pending().await,
            Fate::Delay(delay) => {
                sleep(delay).await;
                call.await
            }
            Fate::Nothing => call.await,
        }
    }
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

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: RsvpStore> RsvpStore for FaultStore<S> {
    async fn write_batch(&self, writes: &[Write], options: &WriteOptions) -> Result<BatchReceipt> {
        self.meet(Operation::Write, self.store.write_batch(writes, options)).await
    }

    async fn has_rsvped_batch(
        &self,
        pairs: &[Rsvp],
        options: &ReadOptions,
    ) -> Result<Vec<Result<bool>>> {
        self.meet(Operation::HasRsvped, self.store.has_rsvped_batch(pairs, options)).await
    }

    async fn rsvp_count_batch(
        &self,
        events: &[EventId],
        options: &ReadOptions,
    ) -> Result<Vec<Result<Count>>> {
        self.meet(Operation::RsvpCount, self.store.rsvp_count_batch(events, options)).await
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        self.meet(Operation::Attendees, self.store.attendees_page(event, request)).await
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        self.meet(Operation::EventsOf, self.store.events_of_page(user, request)).await
    }

    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
        self.meet(Operation::Scan, self.store.scan_page(request)).await
    }

    async fn remove_event_step(
        &self,
        event: &EventId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        let step = self.store.remove_event_step(event, limit, options);
        self.meet(Operation::RemoveEvent, step).await
    }

    async fn remove_user_step(
        &self,
        user: &UserId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        let step = self.store.remove_user_step(user, limit, options);
        self.meet(Operation::RemoveUser, step).await
    }

    async fn label(&self, name: &LabelName, options: &ReadOptions) -> Result<Option<Label>> {
        self.meet(Operation::Label, self.store.label(name, options)).await
    }

    async fn replace_label(
        &self,
        name: &LabelName,
        expected: Option<&Label>,
        value: &Label,
        options: &WriteOptions,
    ) -> Result<Option<Label>> {
        let replace = self.store.replace_label(name, expected, value, options);
        self.meet(Operation::ReplaceLabel, replace).await
    }

    async fn ready(&self) -> Result<()> {
        self.meet(Operation::Ready, self.store.ready()).await
    }

    /// Never fails on purpose.
    async fn close(&self) -> Result<()> {
        self.store.close().await
    }

    fn maintenance(&self) -> Option<&dyn Maintenance> {
        self.store.maintenance()
    }
}
