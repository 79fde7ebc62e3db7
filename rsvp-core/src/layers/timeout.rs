//! An end to every wait.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::timeout;

use super::intercept::intercept_every_call;
use crate::backend::check_timeout;
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
    /// Lets every call take this long, within 1 ms to 1 h.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self { reads: limit, writes: limit }
    }

    /// Lets writes and steps of removals take this long instead, within 1 ms to 1 h.
    #[must_use]
    pub fn with_writes(self, limit: Duration) -> Self {
        Self { writes: limit, ..self }
    }

    /// Refuses settings that are out of range.
    pub(crate) fn check(&self) -> Result<()> {
        check_timeout("timeout", self.reads)?;
        check_timeout("write_timeout", self.writes)
    }
}

/// A store whose calls end in time.
///
/// A call that has no answer in time fails as [`Error::TimedOut`]: a write or a step of a removal
/// with unknown effect. The call inside is dropped, which is safe by contract. What was queued
/// inside may still be done.
///
/// Everything else is kept. Inside of a [`RetryStore`](super::RetryStore) the limit is that of one
/// try, outside of it that of all together.
#[derive(Debug)]
pub struct TimeoutStore<S> {
    store: S,
    config: TimeoutConfig,
}

impl<S> TimeoutStore<S> {
    /// Bounds the calls of `store`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field `timeout` or `write_timeout` if that setting is out
    /// of range.
    pub fn new(store: S, config: TimeoutConfig) -> Result<Self> {
        config.check()?;
        Ok(Self { store, config })
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
        let TimeoutConfig { reads, writes } = self.config;
        let limit = if operation.is_write() { writes } else { reads };
        let late = |_| Err(Error::timed_out(operation, limit, Effect::Unknown));
        timeout(limit, call()).await.unwrap_or_else(late)
    }
}

intercept_every_call!(TimeoutStore);
