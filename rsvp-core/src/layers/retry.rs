//! Retries with backoff, within a budget.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::{Instant, sleep};

use super::intercept::intercept_every_call;
use crate::backend::{check_range, check_timeout};
use crate::{
    BatchReceipt, Consistency, Count, Effect, Error, EventId, Operation, Page, PageLimit,
    PageRequest, RemovalStep, Result, Rsvp, RsvpStore, UserId, Write,
};

/// The first pause, and the longest, each before its jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The cost of a retry and the gain of a success, in tenths of a retry.
const RETRY: u32 = 10;
const SUCCESS: u32 = 1;

/// How often and for how long a [`RetryStore`] repeats a call.
///
/// ```
/// use std::time::Duration;
/// use rsvp_core::layers::RetryConfig;
///
/// let config = RetryConfig::default()
///     .with_deadline(Duration::from_secs(1))
///     .with_max_attempts(3);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RetryConfig {
    deadline: Duration,
    max_attempts: usize,
    retry_budget: u32,
    unknown_writes: bool,
}

impl Default for RetryConfig {
    fn default() -> Self {
        let deadline = Duration::from_secs(2);
        Self { deadline, max_attempts: 5, retry_budget: 100, unknown_writes: true }
    }
}

impl RetryConfig {
    /// Sets the time after the beginning of a call in which it may be repeated, within 1 ms to
    /// 1 h. Defaults to 2 s.
    ///
    /// A pause that would end later is not begun. The last attempt takes as long as it takes. A
    /// [`TimeoutStore`](super::TimeoutStore) inside bounds it.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// Sets the most attempts of a call, the first one included, within 1 to 100. Defaults to 5.
    #[must_use]
    pub fn with_max_attempts(self, attempts: usize) -> Self {
        Self { max_attempts: attempts, ..self }
    }

    /// Sets the retry budget that all callers share, in retries, within 1 to 1,000,000. Defaults
    /// to 100.
    ///
    /// A retry takes one out of the budget, and ten successes put one back. With an empty budget
    /// nothing is retried, so a store that is down is not asked more often than callers ask.
    #[must_use]
    pub fn with_retry_budget(self, retries: u32) -> Self {
        Self { retry_budget: retries, ..self }
    }

    /// Sets whether writes and steps of removals are retried after an attempt of unknown effect.
    /// Defaults to true.
    ///
    /// A retried write answers [`Unchanged`](crate::Outcome::Unchanged) if an earlier attempt had
    /// applied it, and a retried step does not count the RSVPs that an earlier attempt removed. A
    /// [`CountCache`](super::CountCache) around the layer shows such a write by its next period. A
    /// host that acts on every `Applied` and must not miss one sets false and handles the error.
    #[must_use]
    pub fn with_unknown_writes(self, retried: bool) -> Self {
        Self { unknown_writes: retried, ..self }
    }

    /// Refuses settings that are out of range.
    pub(crate) fn check(&self) -> Result<()> {
        check_timeout("retry", self.deadline)?;
        check_range("retry_attempts", self.max_attempts, 1..=100)?;
        check_range("retry_budget", self.retry_budget, 1..=1_000_000)
    }

    /// The pauses between the attempts of a call.
    fn pauses(&self) -> impl Iterator<Item = Duration> + use<> {
        ExponentialBuilder::new()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .with_max_times(self.max_attempts - 1)
            .with_jitter()
            .build()
    }
}

/// A store that retries [retryable](Error::is_retryable) errors.
///
/// Retries use jittered exponential backoff: a pause of 10 ms, doubled each time up to 1 s, with up
/// to as much again of jitter. They are bounded by a [deadline](RetryConfig::with_deadline), an
/// [attempt limit](RetryConfig::with_max_attempts) and a
/// [retry budget](RetryConfig::with_retry_budget) shared by all callers, so that they do not keep a
/// store down. (The budget is that of gRPC's proposal A6, and of "Handling Overload" in *Site
/// Reliability Engineering*, 2016.) If the last attempt fails as well, its error is returned. Its
/// effect is unknown if that of any attempt is.
///
/// # What it preserves, and what it weakens
///
/// The state ends right and a count never moves twice. Outcomes weaken: see
/// [`with_unknown_writes`](RetryConfig::with_unknown_writes).
///
/// [`ready`](RsvpStore::ready) is not retried, since it answers for now.
#[derive(Debug)]
pub struct RetryStore<S> {
    store: S,
    config: RetryConfig,
    /// What is left of the retry budget, in tenths of a retry.
    budget: AtomicU32,
}

impl<S> RetryStore<S> {
    /// Retries the calls of `store`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field `retry`, `retry_attempts` or `retry_budget` if that
    /// setting is out of range.
    pub fn new(store: S, config: RetryConfig) -> Result<Self> {
        config.check()?;
        Ok(Self { store, config, budget: AtomicU32::new(config.retry_budget * RETRY) })
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
        if operation == Operation::Ready {
            return call().await;
        }
        let began = Instant::now();
        let (mut pauses, mut effect) = (None, Effect::NotApplied);
        loop {
            let error = match call().await {
                Ok(answer) => {
                    self.refund();
                    return Ok(answer);
                }
                Err(error) => error,
            };
            if error.effect() == Effect::Unknown {
                effect = Effect::Unknown;
            }
            let in_time = |pause: &Duration| began.elapsed() + *pause <= self.config.deadline;
            let pause = if self.may_retry(&error) {
                pauses.get_or_insert_with(|| self.config.pauses()).next()
            } else {
                None
            };
            match pause.filter(in_time) {
                Some(pause) if self.take() => sleep(pause).await,
                _ => return Err(error.with_effect(effect)),
            }
        }
    }

    fn may_retry(&self, error: &Error) -> bool {
        let certain = error.effect() == Effect::NotApplied;
        error.is_retryable() && (certain || self.config.unknown_writes)
    }

    /// Takes a retry out of the budget.
    fn take(&self) -> bool {
        let take = |budget: u32| budget.checked_sub(RETRY);
        self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    /// Puts a tenth of a retry back.
    fn refund(&self) {
        let full = self.config.retry_budget * RETRY;
        let put = |budget: u32| (budget < full).then_some(budget + SUCCESS);
        // An error means that it is full.
        let _ = self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, put);
    }
}

intercept_every_call!(RetryStore);
