//! An end to every wait.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::timeout;

use crate::around::around_every_call;
use crate::url::check_timeout;
use crate::{
    BatchReceipt, Consistency, Count, Effect, Error, EventId, Operation, Page, PageLimit,
    PageRequest, RemovalStep, Result, Rsvp, RsvpStore, UserId, Write,
};

/// How long the calls of a [`TimeoutStore`] may take.
#[derive(Clone, Copy, Debug)]
pub struct TimeoutConfig {
    reads: Duration,
    writes: Duration,
}

impl TimeoutConfig {
    /// Every call may take this long.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field `timeout` unless it is within 1 ms to 1 h.
    pub fn new(limit: Duration) -> Result<Self> {
        let limit = check_timeout("timeout", limit)?;
        Ok(Self { reads: limit, writes: limit })
    }

    /// Writes and steps of removals may take this long instead.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_writes(self, limit: Duration) -> Result<Self> {
        Ok(Self { writes: check_timeout("timeout", limit)?, ..self })
    }
}

/// A store whose calls end in time.
///
/// A call that has no answer in time fails as [`Error::TimedOut`]: a write or a step of a removal
/// with unknown effect. The call inside is dropped, which is safe by contract. What was queued
/// inside may still be done.
///
/// Everything else is kept. Inside of a [`RetryStore`](crate::RetryStore) the limit is that of one
/// try, outside of it that of all together.
#[derive(Debug)]
pub struct TimeoutStore<S> {
    store: S,
    config: TimeoutConfig,
}

impl<S> TimeoutStore<S> {
    /// Bounds the calls of `store`.
    pub fn new(store: S, config: TimeoutConfig) -> Self {
        Self { store, config }
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
        let TimeoutConfig { reads, writes } = self.config;
        let limit = if operation.is_write() { writes } else { reads };
        let late = |_| Err(Error::timed_out(operation, limit, Effect::Unknown));
        timeout(limit, call()).await.unwrap_or_else(late)
    }
}

around_every_call!(TimeoutStore);
