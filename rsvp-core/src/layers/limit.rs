//! A bound on what goes on at once.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use super::{Call, Layer, Layered};
use crate::backend::check_range;
use crate::{Deadline, Effect, Error, Operation, Result, RsvpStore};

/// How many calls a [`LimitStore`] lets through at once, and how many may wait.
#[derive(Clone, Copy, Debug)]
pub struct LimitConfig {
    concurrency: usize,
    queue: Option<usize>,
}

impl LimitConfig {
    /// Lets this many calls through at once, within 1 to 1,000,000.
    #[must_use]
    pub fn new(concurrency: usize) -> Self {
        Self { concurrency, queue: None }
    }

    /// Sets the number of calls that may wait, at most 10,000,000. With 0 a call that cannot begin
    /// at once is refused. Defaults to eight times the calls that go through at once.
    #[must_use]
    pub fn with_queue(self, calls: usize) -> Self {
        Self { queue: Some(calls), ..self }
    }

    /// Refuses settings that are out of range.
    pub(crate) fn check(&self) -> Result<()> {
        check_range("limit", self.concurrency, 1..=1_000_000)?;
        check_range("limit_queue", self.queue(), 0..=10_000_000)
    }

    fn queue(&self) -> usize {
        self.queue.unwrap_or(self.concurrency.saturating_mul(8))
    }
}

/// A store that gets a bounded number of calls at once.
///
/// Calls over the bound wait in the order in which they came, until their deadlines. When too many
/// wait, one more is refused at once as [`Error::Overloaded`], before any effect. A batch is one
/// call. A caller that goes away leaves its place to others.
///
/// A call from a queue with a bound of its own ([`WriteOptions::queued`](crate::WriteOptions::queued)),
/// such as a batch of a [`CoalescedStore`](super::CoalescedStore), waits for its turn like the others
/// and is never refused, since it stands for many calls.
///
/// [`ready`](RsvpStore::ready) does not wait: it is refused when a write would be refused, and
/// takes no place otherwise.
///
/// Everything else is kept. The wait of a call without a deadline is bounded by the calls inside, so
/// put a [`TimeoutStore`](super::TimeoutStore) around the layer where that matters.
pub type LimitStore<S> = Layered<Limit, S>;

/// The layer of a [`LimitStore`].
#[derive(Debug)]
pub struct Limit {
    /// Places of the calls that are under way.
    running: Semaphore,
    /// Places of those calls and of the calls that wait.
    admitted: Semaphore,
    concurrency: u32,
    closed: AtomicBool,
}

impl<S> Layered<Limit, S> {
    /// Bounds the calls that `store` gets at once.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field `limit` or `limit_queue` if that setting is out of
    /// range.
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
        let admitted = match self.admitted.try_acquire() {
            Ok(admitted) => Some(admitted),
            Err(_) if call.is_queued() => None,
            Err(_) => return Err(Error::overloaded(operation)),
        };
        if operation == Operation::Ready {
            drop(admitted);
            return call.run(store).await;
        }
        // Those that wait come first: a place that is given back is theirs, and no free one.
        let _running = match self.running.try_acquire() {
            Ok(running) => running,
            Err(_) => Box::pin(self.turn(operation, call.deadline())).await?,
        };
        call.run(store).await
    }

    async fn close<S: RsvpStore>(&self, store: &S) -> Result<()> {
        // The calls that wait have their turn before this one has all places.
        self.closed.store(true, Ordering::Release);
        let _all = self.running.acquire_many(self.concurrency).await;
        store.close().await
    }
}

impl Limit {
    /// Waits for the turn of a call, until its deadline.
    async fn turn(
        &self,
        operation: Operation,
        deadline: Option<Deadline>,
    ) -> Result<SemaphorePermit<'_>> {
        let (began, turn) = (Instant::now(), self.running.acquire());
        let late = || Error::timed_out(operation, began.elapsed(), Effect::NotApplied);
        let turn = match deadline {
            None => turn.await,
            Some(deadline) => timeout_at(deadline.instant(), turn).await.map_err(|_| late())?,
        };
        // The semaphore is never closed.
        turn.map_err(|_| Error::overloaded(operation))
    }
}
