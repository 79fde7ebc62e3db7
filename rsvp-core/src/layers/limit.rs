//! A bound on concurrent calls (backpressure).

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::timeout::before;
use super::{Call, Layer, Layered};
use crate::backend::check_range;
use crate::{Effect, Error, Health, Operation, Result, RsvpStore};

/// The settings of a [`LimitStore`]: the number of concurrent calls, and the length of the queue.
///
/// ```
/// use rsvp_core::layers::{LayerExt, LimitConfig};
/// use rsvp_memory::MemoryStore;
///
/// let store = MemoryStore::new().with_limit(LimitConfig::new(64).with_queue(512))?;
/// # Ok::<(), rsvp_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LimitConfig {
    concurrency: usize,
    queue: Option<usize>,
}

impl LimitConfig {
    /// Sets the number of concurrent calls, within 1 to 1,000,000.
    #[must_use]
    pub fn new(concurrency: usize) -> Self {
        Self { concurrency, queue: None }
    }

    /// Sets the length of the queue, at most 10,000,000.
    /// With 0, a call that cannot begin at once is refused.
    /// Defaults to eight times the number of concurrent calls.
    #[must_use]
    pub fn with_queue(self, calls: usize) -> Self {
        Self { queue: Some(calls), ..self }
    }

    /// Refuses settings out of range.
    pub(crate) fn check(&self) -> Result<()> {
        check_range("limit", self.concurrency, 1..=1_000_000)?;
        check_range("limit_queue", self.queue(), 0..=10_000_000)
    }

    fn queue(&self) -> usize {
        self.queue.unwrap_or(self.concurrency.saturating_mul(8))
    }
}

/// A store with a bound on its concurrent calls.
///
/// Calls over the bound wait in the order of their arrival, until their deadlines.
/// If the queue is full, a further call is refused at once as [`Error::Overloaded`],
/// before any effect. A batch counts as one call. A dropped call gives its place back.
///
/// A call from a bounded queue ([`WriteOptions::queued`](crate::WriteOptions::queued)),
/// such as a batch of a [`CoalescedStore`](super::CoalescedStore),
/// waits for its turn like the others.
/// No full queue refuses it, because it stands for many calls.
/// If its turn has not come by its deadline, it is refused as [`Error::Overloaded`]:
/// the time tells nothing about the store or about an event.
///
/// [`ready`](RsvpStore::ready) does not wait and takes no place.
/// It is refused if a write would be refused.
///
/// The layer preserves everything else.
/// The calls in flight bound the wait of a call without a deadline.
/// If that is not enough, put a [`TimeoutStore`](super::TimeoutStore) around the layer.
pub type LimitStore<S> = Layered<Limit, S>;

/// The layer of a [`LimitStore`].
///
/// ```
/// use rsvp_core::layers::{Layered, Limit, LimitConfig, LimitStore};
/// use rsvp_memory::MemoryStore;
///
/// let store: Layered<Limit, MemoryStore> = LimitStore::new(MemoryStore::new(), LimitConfig::new(64))?;
/// # Ok::<(), rsvp_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Limit {
    /// Permits of the calls in flight.
    running: Semaphore,
    /// Permits of the calls in flight and of the waiting calls.
    admitted: Semaphore,
    concurrency: u32,
    closed: AtomicBool,
}

impl<S> Layered<Limit, S> {
    /// Bounds the concurrent calls of `store`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field `limit` or `limit_queue`
    /// if that setting is out of range.
    pub fn new(store: S, config: LimitConfig) -> Result<Self> {
        config.check()?;
        let running = Semaphore::new(config.concurrency);
        let admitted = Semaphore::new(config.concurrency + config.queue());
        let concurrency = u32::try_from(config.concurrency).unwrap_or(u32::MAX);
        let closed = AtomicBool::new(false);
        Ok(Self::around(store, Limit { running, admitted, concurrency, closed }))
    }
}

impl Layer for Limit {
    async fn call<C: Call, S: RsvpStore>(&self, call: C, store: &S) -> Result<C::Answer> {
        let operation = call.operation();
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::closed(operation));
        }
        // 1. Enter the queue, unless it is full. A call from a bounded queue always enters.
        let admitted = match self.admitted.try_acquire() {
            Ok(admitted) => Some(admitted),
            Err(_) if call.is_queued() => None,
            Err(_) => return Err(Error::overloaded(operation)),
        };
        // 2. `ready` asks for no permit to run.
        if operation == Operation::Ready {
            drop(admitted);
            return call.run(store).await;
        }
        // 3. The semaphore is fair: a released permit goes to the first waiting call,
        // and is not free for a new one.
        let _running = match self.running.try_acquire() {
            Ok(running) => running,
            Err(_) => Box::pin(self.turn(&call)).await?,
        };
        call.run(store).await
    }

    async fn health<S: RsvpStore>(&self, store: &S) -> Health {
        match self.closed.load(Ordering::Acquire) {
            true => Health::of_whole(Err(Error::closed(Operation::Ready))),
            false => store.health().await,
        }
    }

    async fn close<S: RsvpStore>(&self, store: &S) -> Result<()> {
        // The waiting calls have their turn before this call gets all permits.
        self.closed.store(true, Ordering::Release);
        let _all = self.running.acquire_many(self.concurrency).await;
        store.close().await
    }
}

impl Limit {
    /// Waits for the turn of a call, until its deadline.
    async fn turn<C: Call>(&self, call: &C) -> Result<SemaphorePermit<'_>> {
        let (began, turn) = (Instant::now(), self.running.acquire());
        let overloaded = || Error::overloaded(call.operation());
        let late = || match call.is_queued() {
            true => overloaded(),
            false => Error::timed_out(call.operation(), began.elapsed(), Effect::NotApplied),
        };
        let turn = match call.deadline() {
            None => turn.await,
            Some(deadline) => before(deadline.instant(), turn).await.ok_or_else(late)?,
        };
        // The semaphore is never closed, so this error does not occur.
        turn.map_err(|_| overloaded())
    }
}
