//! A bound on what goes on at once.

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::intercept::intercept_every_call;
use crate::backend::check_range;
use crate::{
    BatchReceipt, Consistency, Count, Error, EventId, Operation, Page, PageLimit, PageRequest,
    RemovalStep, Result, Rsvp, RsvpStore, UserId, Write,
};

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

/// A store that is asked only so much at once.
///
/// Calls over the bound wait in the order in which they came; when too many wait, one more is
/// refused at once as [`Error::Overloaded`], before any effect. A batch is one call. A caller that
/// goes away leaves its place to others.
///
/// [`ready`](RsvpStore::ready) does not wait: it is refused when a write would be refused, and
/// takes no place otherwise.
///
/// Everything else is kept. How long a call waits is bounded by what goes on inside, so put a
/// [`TimeoutStore`](super::TimeoutStore) around it where that matters.
#[derive(Debug)]
pub struct LimitStore<S> {
    store: S,
    /// For those that are under way.
    running: Semaphore,
    /// For those and for those that wait.
    admitted: Semaphore,
}

impl<S> LimitStore<S> {
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
        Ok(Self { store, running, admitted })
    }

    /// The store inside.
    pub fn get_ref(&self) -> &S {
        &self.store
    }

    /// The store inside.
    pub fn into_inner(self) -> S {
        self.store
    }

    async fn intercept<T, F: Future<Output = Result<T>>>(
        &self,
        operation: Operation,
        _: usize,
        call: impl Fn() -> F,
    ) -> Result<T> {
        let refused = |_| Error::overloaded(operation);
        let admitted = self.admitted.try_acquire().map_err(refused)?;
        if operation == Operation::Ready {
            drop(admitted);
            return call().await;
        }
        // It is never closed.
        let _running = self.running.acquire().await.map_err(|_| Error::overloaded(operation))?;
        call().await
    }
}

intercept_every_call!(LimitStore);
