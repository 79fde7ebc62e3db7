//! Retries with backoff, within a budget.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::{Instant, sleep};

use super::{Call, Layer, Layered};
use crate::backend::{check_range, check_timeout};
use crate::{Deadline, Effect, Error, Operation, Result, RsvpStore};

/// The first pause and the longest pause, both before jitter.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The cost of a retry and the gain of a success, in tenths of a retry.
const RETRY: u32 = 10;
const SUCCESS: u32 = 1;

/// The settings of a [`RetryStore`].
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
    /// Sets the time of a call with all its attempts, within 1 ms to 1 h. Defaults to 2 s.
    ///
    /// The layer does not begin a pause that would end later.
    /// The last attempt has this moment as its deadline.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// Sets the greatest number of attempts of a call, the first one included, within 1 to 100.
    /// Defaults to 5.
    #[must_use]
    pub fn with_max_attempts(self, attempts: usize) -> Self {
        Self { max_attempts: attempts, ..self }
    }

    /// Sets the retry budget shared by all callers, in retries, within 1 to 1,000,000.
    /// Defaults to 100.
    ///
    /// A retry takes one from the budget, and ten successes put one back.
    /// With an empty budget nothing is retried.
    /// So a failed store gets no more calls than its callers make.
    #[must_use]
    pub fn with_retry_budget(self, retries: u32) -> Self {
        Self { retry_budget: retries, ..self }
    }

    /// Sets whether writes and steps of removals are retried after an attempt of unknown effect.
    /// Defaults to true.
    ///
    /// A retried write answers [`Unchanged`](crate::Outcome::Unchanged)
    /// if an earlier attempt had applied it.
    /// Its receipt is marked as [repeated](crate::Receipt::repeated).
    /// A retried step does not count the RSVPs removed by an earlier attempt,
    /// and is marked as [repeated](crate::RemovalStep::repeated) too.
    /// A host that acts on every `Applied`, and must not miss one, sets false
    /// and handles the error.
    #[must_use]
    pub fn with_unknown_writes(self, retried: bool) -> Self {
        Self { unknown_writes: retried, ..self }
    }

    /// Refuses settings out of range.
    pub(crate) fn check(&self) -> Result<()> {
        check_timeout("retry", self.deadline)?;
        check_range("retry_attempts", self.max_attempts, 1..=100)?;
        check_range("retry_budget", self.retry_budget, 1..=1_000_000)
    }

    /// Returns the pauses between the attempts of a call.
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
/// Retries use jittered exponential backoff: a pause of 10 ms, doubled each time up to 1 s,
/// plus a random jitter of up to the same length.
/// They are bounded by a [deadline](RetryConfig::with_deadline),
/// an [attempt limit](RetryConfig::with_max_attempts)
/// and a [retry budget](RetryConfig::with_retry_budget) shared by all callers,
/// so they do not keep an overloaded store down.
/// The budget follows gRPC's proposal A6 and "Handling Overload" in *Site Reliability Engineering*,
/// 2016.
///
/// Only the failed entries of a batch are retried.
/// If the last attempt fails too, the call returns its error,
/// with the most uncertain effect of all attempts.
///
/// # Guarantees kept and weakened
///
/// The final state is right, and a count never moves twice.
/// A write with a [pending](Effect::Pending) effect is not repeated before it is settled.
/// Outcomes weaken, see [`with_unknown_writes`](RetryConfig::with_unknown_writes).
///
/// [`ready`](RsvpStore::ready) is not retried, because its answer is about this moment.
/// [`replace_label`](RsvpStore::replace_label) is not retried after an attempt of unknown effect,
/// because it could not tell its own earlier attempt from another client's.
pub type RetryStore<S> = Layered<Retry, S>;

/// The layer of a [`RetryStore`].
///
/// ```
/// use rsvp_core::layers::{Layered, Retry, RetryConfig, RetryStore};
/// use rsvp_memory::MemoryStore;
///
/// let store: Layered<Retry, MemoryStore> =
///     RetryStore::new(MemoryStore::new(), RetryConfig::default())?;
/// # Ok::<(), rsvp_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Retry {
    config: RetryConfig,
    /// The rest of the retry budget, in tenths of a retry.
    budget: AtomicU32,
}

impl<S> Layered<Retry, S> {
    /// Retries the calls of `store`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field `retry`, `retry_attempts` or `retry_budget` if that
    /// setting is out of range.
    pub fn new(store: S, config: RetryConfig) -> Result<Self> {
        config.check()?;
        let budget = AtomicU32::new(config.retry_budget * RETRY);
        Ok(Self::around(store, Retry { config, budget }))
    }
}

/// A failed entry of a batch, or a failed call.
struct Failed {
    place: usize,
    error: Error,
    /// The most uncertain effect of all attempts.
    effect: Effect,
}

impl Layer for Retry {
    async fn call<C: Call, S: RsvpStore>(&self, call: C, store: &S) -> Result<C::Answer> {
        let operation = call.operation();
        if operation == Operation::Ready {
            return call.run(store).await;
        }
        let began = Instant::now();
        let deadline = Deadline::at(began + self.config.deadline);
        let call = call.with_deadline(deadline);
        // Most calls succeed at once. Boxing the rest keeps their futures small.
        let first = call.run(store).await;
        if first.as_ref().is_ok_and(|answer| C::failures(answer).is_empty()) {
            self.refund();
            return first;
        }
        let (answer, failed) = failures::<C>(first);
        Box::pin(self.retry(call, store, began, answer, failed)).await
    }
}

impl Retry {
    /// Repeats the failed entries as long as they can succeed in time.
    async fn retry<C: Call, S: RsvpStore>(
        &self,
        call: C,
        store: &S,
        began: Instant,
        mut answer: Option<C::Answer>,
        mut failed: Vec<Failed>,
    ) -> Result<C::Answer> {
        let operation = call.operation();
        let deadline = call.deadline();
        let deadline = deadline.unwrap_or(Deadline::at(began + self.config.deadline));
        for pause in self.config.pauses() {
            // Divide the failed entries into those that can be retried in time and the rest.
            let settles = |error: &Error| error.retry_at().is_none_or(|at| at < deadline);
            let retried: Vec<usize> = (0..)
                .zip(&failed)
                .filter(|(_, one)| self.may_retry(operation, one) && settles(&one.error))
                .map(|(at, _)| at)
                .collect();
            // A pending entry must not delay the others.
            // Retry those first, and return finished answers without waiting for it.
            let pending = |at: &usize| failed.get(*at).and_then(|one| one.error.retry_at());
            let (waiting, ready): (Vec<usize>, Vec<usize>) =
                retried.into_iter().partition(|at| pending(at).is_some());
            let answers_wait = answer.is_some() && failed.len() < call.entries();
            // Entries without a pending effect go first.
            // Pending ones wait only if there is no answer to return.
            let retried = match (ready.is_empty(), answers_wait) {
                (false, _) => ready,
                (true, true) => break,
                (true, false) => waiting,
            };
            // Pause until the pending effects are settled, within the deadline and the budget.
            let settled = retried.iter().filter_map(pending).max();
            let pause = settled.map_or(pause, |settled| pause.max(settled.remaining()));
            if retried.is_empty() || pause >= deadline.remaining() || !self.take() {
                break;
            }
            sleep(pause).await;
            // Timers round up.
            // An attempt after the deadline would only hide the error of the attempt before.
            if deadline.has_passed() {
                break;
            }
            let (mut again, rest) = split(failed, &retried);
            // A pending effect is settled by now.
            again.iter_mut().for_each(|one| one.effect = one.effect.min(Effect::Unknown));
            failed = rest;
            failed.extend(attempt_again(&call, store, &mut answer, again).await);
            if failed.is_empty() {
                self.refund();
                break;
            }
        }
        // The entries that failed for good get the error of their last attempt.
        let elapsed = began.elapsed();
        let error = |one: &Failed| waited(one.error.clone().with_effect(one.effect), elapsed);
        match &mut answer {
            Some(answer) => failed.iter().for_each(|one| C::fail(answer, one.place, error(one))),
            None => {
                let first = failed.first().map(error);
                return Err(first.unwrap_or_else(|| Error::corrupt(operation, "no answer")));
            }
        }
        answer.ok_or_else(|| Error::corrupt(operation, "no answer"))
    }
}

/// Divides the result of an attempt into its answer, if there is one, and its failures.
fn failures<C: Call>(attempt: Result<C::Answer>) -> (Option<C::Answer>, Vec<Failed>) {
    let failed = |place, error: Error| Failed { place, effect: error.effect(), error };
    match attempt {
        Ok(answer) => {
            let failures = C::failures(&answer).into_iter();
            let failures = failures.map(|(place, error)| failed(place, error)).collect();
            (Some(answer), failures)
        }
        // Without an answer there are no entries to put errors into, so one failure stands for all.
        Err(error) => (None, vec![failed(0, error)]),
    }
}

/// Repeats the failed entries and merges their answers into the whole answer.
/// Returns the entries that failed again.
async fn attempt_again<C: Call, S: RsvpStore>(
    call: &C,
    store: &S,
    answer: &mut Option<C::Answer>,
    again: Vec<Failed>,
) -> Vec<Failed> {
    let Some(whole) = answer else {
        // The whole call has failed so far.
        let effect = again.iter().map(|one| one.effect).fold(Effect::NotApplied, Effect::and);
        let (first, mut failed) = failures::<C>(call.run(store).await);
        failed.iter_mut().for_each(|one| one.effect = one.effect.and(effect));
        *answer = first;
        if let (Some(answer), false) = (answer, effect == Effect::NotApplied) {
            (0..call.entries().max(1)).for_each(|place| C::mark_repeated(answer, place));
        }
        return failed;
    };
    // Repeat the failed entries alone.
    let places: Vec<usize> = again.iter().map(|one| one.place).collect();
    let part = match call.part(&places).run(store).await {
        Ok(part) => part,
        Err(error) => {
            let fail = |one: Failed| Failed {
                effect: one.effect.and(error.effect()),
                error: error.clone(),
                ..one
            };
            return again.into_iter().map(fail).collect();
        }
    };
    // Merge their answers, and mark the writes with an earlier attempt of unknown effect.
    let failures = C::failures(&part);
    C::merge(whole, &places, part);
    let repeated = again.iter().filter(|one| one.effect != Effect::NotApplied);
    repeated.for_each(|one| C::mark_repeated(whole, one.place));
    let failed = |(at, error): (usize, Error)| {
        let before = again.get(at)?;
        Some(Failed { place: before.place, effect: before.effect.and(error.effect()), error })
    };
    failures.into_iter().filter_map(failed).collect()
}

/// Returns the error after all attempts.
/// A timeout reports the time of all attempts together.
fn waited(error: Error, elapsed: Duration) -> Error {
    match error {
        Error::TimedOut { operation, effect, source, .. } => {
            Error::TimedOut { operation, after: elapsed, effect, source }
        }
        error => error,
    }
}

/// Splits off the failures at `places`.
fn split(all: Vec<Failed>, places: &[usize]) -> (Vec<Failed>, Vec<Failed>) {
    let (taken, rest): (Vec<_>, Vec<_>) =
        all.into_iter().enumerate().partition(|(at, _)| places.contains(at));
    let without_places = |all: Vec<(usize, Failed)>| all.into_iter().map(|(_, one)| one).collect();
    (without_places(taken), without_places(rest))
}

impl Retry {
    fn may_retry(&self, operation: Operation, failed: &Failed) -> bool {
        let certain = failed.error.effect() == Effect::NotApplied;
        let unknown = self.config.unknown_writes && operation != Operation::ReplaceLabel;
        failed.error.is_retryable() && (certain || unknown)
    }

    /// Takes a retry from the budget. Returns false if it is empty.
    fn take(&self) -> bool {
        let take = |budget: u32| budget.checked_sub(RETRY);
        self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    /// Puts a tenth of a retry back.
    fn refund(&self) {
        let full = self.config.retry_budget * RETRY;
        let put = |budget: u32| (budget < full).then_some(budget + SUCCESS);
        // An error means a full budget.
        let _ = self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, put);
    }
}
