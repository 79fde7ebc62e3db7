//! A bound on what goes on at once.

use async_trait::async_trait;
use tokio::sync::Semaphore;

use crate::around::around_every_call;
use crate::{
    BatchReceipt, Consistency, Count, Error, EventId, Operation, Page, PageLimit, PageRequest,
    RemovalStep, Result, Rsvp, RsvpStore, UserId, Write,
};

/// How many calls a [`LimitStore`] lets through at once, and how many may wait.
#[derive(Clone, Copy, Debug)]
pub struct LimitConfig {
    concurrency: usize,
    queue: usize,
}

impl LimitConfig {
    /// So many calls at once, and eight times as many waiting.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field `limit` unless it is within 1 to 1,000,000.
    pub fn new(concurrency: usize) -> Result<Self> {
        if (1..=1_000_000).contains(&concurrency) {
            Ok(Self { concurrency, queue: concurrency * 8 })
        } else {
            Err(Error::invalid_input("limit", "is not within 1 to 1000000"))
        }
    }

    /// So many may wait. None: what cannot begin at once is refused.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field `queue` if it is more than 10,000,000.
    pub fn with_queue(self, queue: usize) -> Result<Self> {
        if queue <= 10_000_000 {
            Ok(Self { queue, ..self })
        } else {
            Err(Error::invalid_input("queue", "is more than 10000000"))
        }
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
/// [`TimeoutStore`](crate::TimeoutStore) around it where that matters.
#[derive(Debug)]
pub struct LimitStore<S> {
    store: S,
    /// For those that are under way.
    running: Semaphore,
    /// For those and for those that wait.
    admitted: Semaphore,
}

impl<S> LimitStore<S> {
    /// Bounds what `store` is asked at once.
    pub fn new(store: S, config: LimitConfig) -> Self {
        let LimitConfig { concurrency, queue } = config;
        let running = Semaphore::new(concurrency);
        Self { store, running, admitted: Semaphore::new(concurrency + queue) }
    }

    /// The store inside.
    pub fn get_ref(&self) -> &S {
        &self.store
    }

    /// The store inside.
    pub fn into_inner(self) -> S {
        self.store
    }

    async fn around<T, F: Future<Output = Result<T>>>(
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

around_every_call!(LimitStore);
