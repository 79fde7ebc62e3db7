//! A bound on the time of every call.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{Call, Layer, Layered};
use crate::backend::check_timeout;
use crate::{Deadline, Effect, Error, Health, Operation, Result, RsvpStore};

/// The settings of a [`TimeoutStore`].
///
/// ```
/// use std::time::Duration;
/// use rsvp_core::layers::{LayerExt, TimeoutConfig};
/// use rsvp_memory::MemoryStore;
///
/// let config = TimeoutConfig::new(Duration::from_millis(500)).with_writes(Duration::from_secs(2));
/// let store = MemoryStore::new().with_timeout(config)?;
/// # Ok::<(), rsvp_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TimeoutConfig {
    reads: Duration,
    writes: Duration,
}

impl TimeoutConfig {
    /// Sets the time of every call, within 1 ms to 1 h.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self { reads: limit, writes: limit }
    }

    /// Sets the time of writes and steps of removals, within 1 ms to 1 h.
    #[must_use]
    pub fn with_writes(self, limit: Duration) -> Self {
        Self { writes: limit, ..self }
    }

    /// Refuses settings out of range.
    pub(crate) fn check(&self) -> Result<()> {
        self.check_as("timeout")
    }

    /// Refuses settings out of range. The error calls the limit by this name.
    pub(super) fn check_as(&self, field: &'static str) -> Result<()> {
        check_timeout(field, self.reads)?;
        check_timeout(if self.writes == self.reads { field } else { "write_timeout" }, self.writes)
    }
}

/// A store that bounds the time of its calls.
///
/// The limit becomes the [deadline](Deadline) of the call.
/// So the inner store gives up in time and learns the effect of the call.
///
/// A call that has not returned 250 ms after its deadline is dropped, which is safe by contract.
/// It fails as [`Error::TimedOut`]. A write or a step of a removal may then take effect during
/// the [settling time](RsvpStore::settling_time) of the store, and is
/// [pending](Effect::Pending) until its end.
///
/// The layer preserves everything else.
/// Inside of a [`RetryStore`](super::RetryStore) the limit applies to each attempt,
/// outside of it to all attempts together.
pub type TimeoutStore<S> = Layered<Timeout, S>;

/// The layer of a [`TimeoutStore`].
///
/// ```
/// use std::time::Duration;
/// use rsvp_core::layers::{Layered, Timeout, TimeoutConfig, TimeoutStore};
/// use rsvp_memory::MemoryStore;
///
/// let config = TimeoutConfig::new(Duration::from_secs(1));
/// let store: Layered<Timeout, MemoryStore> = TimeoutStore::new(MemoryStore::new(), config)?;
/// # Ok::<(), rsvp_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Timeout(TimeoutConfig);

impl<S> Layered<Timeout, S> {
    /// Bounds the calls of `store`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field `timeout` or `write_timeout` if that setting is out
    /// of range.
    pub fn new(store: S, config: TimeoutConfig) -> Result<Self> {
        config.check()?;
        Ok(Self::around(store, Timeout(config)))
    }
}

/// The extra time of a call after its deadline, in which a store that keeps deadlines must return.
pub(super) const GRACE: Duration = Duration::from_millis(250);

impl Layer for Timeout {
    async fn call<C: Call, S: RsvpStore>(&self, call: C, store: &S) -> Result<C::Answer> {
        let (operation, TimeoutConfig { reads, writes }) = (call.operation(), self.0);
        let limit = if operation.is_write() { writes } else { reads };
        let began = Instant::now();
        let deadline = Deadline::after_moment(began, limit);
        let deadline = call.deadline().map_or(deadline, |own| own.min(deadline));
        // Operations without a deadline of their own, such as `ready`,
        // end at the limit without extra time.
        let call = call.with_deadline(deadline);
        let grace = if call.deadline().is_some() { GRACE } else { Duration::ZERO };
        match within(deadline.instant() + grace, call.run(store)).await {
            Some(answer) => answer,
            None => {
                let settled = Deadline::at(deadline.instant() + store.settling_time());
                let effect = match settled.has_passed() {
                    true => Effect::Unknown,
                    false => Effect::Pending(settled),
                };
                Err(Error::timed_out(operation, began.elapsed(), effect))
            }
        }
    }

    async fn health<S: RsvpStore>(&self, store: &S) -> Health {
        let began = Instant::now();
        let late = || Error::timed_out(Operation::Ready, began.elapsed(), Effect::NotApplied);
        let health = within(began + self.0.reads, store.health()).await;
        health.unwrap_or_else(|| Health::of_whole(Err(late())))
    }
}

/// Waits for a call until a moment.
/// Waits without an end for a caller without a runtime, which has no timers.
pub(super) async fn before<T>(end: Instant, call: impl Future<Output = T>) -> Option<T> {
    match Handle::try_current() {
        Ok(_) => timeout_at(end, call).await.ok(),
        Err(_) => Some(call.await),
    }
}

/// Waits for a call until a moment, as [`tokio::time::timeout_at`] does.
/// A call that answers at once costs no timer.
async fn within<T>(end: Instant, call: impl Future<Output = T>) -> Option<T> {
    let (mut call, mut timer) = (pin!(call), None);
    poll_fn(move |context| {
        if let Poll::Ready(answer) = call.as_mut().poll(context) {
            return Poll::Ready(Some(answer));
        }
        // Create the timer at the first pending poll.
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
        timer.as_mut().poll(context).map(|()| None)
    })
    .await
}
