//! Trying again what is worth it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::{Instant, sleep};

use crate::around::around_every_call;
use crate::url::check_timeout;
use crate::{
    BatchReceipt, Consistency, Count, Effect, Error, EventId, Operation, Page, PageLimit,
    PageRequest, RemovalStep, Result, Rsvp, RsvpStore, UserId, Write,
};

/// The first pause, and the longest, each before its jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What a repetition costs and what a success brings back, in parts of a token.
const REPETITION: u32 = 10;
const SUCCESS: u32 = 1;

/// How often and for how long a [`RetryStore`] tries.
#[derive(Clone, Copy, Debug)]
pub struct RetryConfig {
    budget: Duration,
    tries: usize,
    tokens: u32,
    unknown_writes: bool,
}

impl Default for RetryConfig {
    fn default() -> Self {
        let budget = Duration::from_secs(2);
        Self { budget, tries: 5, tokens: 100, unknown_writes: true }
    }
}

impl RetryConfig {
    /// How long after its beginning a call may be tried again; 2 s unless said otherwise. A pause
    /// that would end later is not begun. The last try takes as long as it takes: a
    /// [`TimeoutStore`](crate::TimeoutStore) inside bounds it.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field `retry` unless it is within 1 ms to 1 h.
    pub fn with_budget(self, budget: Duration) -> Result<Self> {
        Ok(Self { budget: check_timeout("retry", budget)?, ..self })
    }

    /// How often a call is tried at most, the first time included; 5 unless said otherwise.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field `tries` unless it is within 1 to 100.
    pub fn with_tries(self, tries: usize) -> Result<Self> {
        if (1..=100).contains(&tries) {
            Ok(Self { tries, ..self })
        } else {
            Err(Error::invalid_input("tries", "is not within 1 to 100"))
        }
    }

    /// How many repetitions all callers together have in stock; 100 unless said otherwise. Each
    /// takes one, ten successes give one back. With an empty stock nothing is repeated, so a store
    /// that is down is not asked more often than callers ask.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field `tokens` unless it is within 1 to 1,000,000.
    pub fn with_tokens(self, tokens: u32) -> Result<Self> {
        if (1..=1_000_000).contains(&tokens) {
            Ok(Self { tokens, ..self })
        } else {
            Err(Error::invalid_input("tokens", "is not within 1 to 1000000"))
        }
    }

    /// Whether writes and steps of removals are repeated whose effect is unknown; they are unless
    /// said otherwise.
    ///
    /// A repeated write answers [`Unchanged`](crate::Outcome::Unchanged) if the first try had
    /// applied it, and a repeated step does not count what the first had removed. A
    /// [`CountCache`](crate::CountCache) around it shows such a write by its next period. A host that does
    /// something for every `Applied`, and must not miss one, says `false` and deals with the error.
    #[must_use]
    pub fn with_unknown_writes(self, repeated: bool) -> Self {
        Self { unknown_writes: repeated, ..self }
    }

    /// The pauses between the tries of a call.
    fn pauses(&self) -> impl Iterator<Item = Duration> + use<> {
        ExponentialBuilder::new()
            .with_min_delay(FIRST_PAUSE)
            .with_max_delay(LONGEST_PAUSE)
            .with_max_times(self.tries - 1)
            .with_jitter()
            .build()
    }
}

/// A store that tries again what fails and is worth it.
///
/// What an error calls [retryable](Error::is_retryable) is repeated after a pause: 10 ms, doubled
/// each time up to 1 s, with up to as much again of jitter, within a
/// [budget](RetryConfig::with_budget) of time and tries. If the last try fails as well, its error
/// is returned, with unknown effect if that of any try was unknown.
///
/// Repetitions have a stock that all callers share (as in gRPC's proposal A6, and the retry
/// budgets of "Handling Overload" in *Site Reliability Engineering*, 2016), so that they do not
/// keep a store down.
///
/// # What it preserves, and what it weakens
///
/// The state ends right and a count never moves twice. Outcomes weaken: see
/// [`with_unknown_writes`](RetryConfig::with_unknown_writes).
///
/// [`ready`](RsvpStore::ready) is not repeated: it answers for now.
#[derive(Debug)]
pub struct RetryStore<S> {
    store: S,
    config: RetryConfig,
    stock: AtomicU32,
}

impl<S> RetryStore<S> {
    /// Repeats the calls of `store`.
    pub fn new(store: S, config: RetryConfig) -> Self {
        Self { store, config, stock: AtomicU32::new(config.tokens * REPETITION) }
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
        if operation == Operation::Ready {
            return call().await;
        }
        let began = Instant::now();
        let (mut pauses, mut effect) = (None, Effect::NotApplied);
        loop {
            let error = match call().await {
                Ok(answer) => {
                    self.restock();
                    return Ok(answer);
                }
                Err(error) => error,
            };
            if error.effect() == Effect::Unknown {
                effect = Effect::Unknown;
            }
            let in_time = |pause: &Duration| began.elapsed() + *pause <= self.config.budget;
            let pause = if self.is_worth_it(&error) {
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

    fn is_worth_it(&self, error: &Error) -> bool {
        let certain = error.effect() == Effect::NotApplied;
        error.is_retryable() && (certain || self.config.unknown_writes)
    }

    /// Takes a repetition out of the stock.
    fn take(&self) -> bool {
        let take = |stock: u32| stock.checked_sub(REPETITION);
        self.stock.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    /// Puts a part of one back.
    fn restock(&self) {
        let full = self.config.tokens * REPETITION;
        let put = |stock: u32| (stock < full).then_some(stock + SUCCESS);
        // An error means that it is full.
        let _ = self.stock.fetch_update(Ordering::Relaxed, Ordering::Relaxed, put);
    }
}

around_every_call!(RetryStore);
