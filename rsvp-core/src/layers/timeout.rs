//! An end to every wait.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{Call, Layer, Layered};
use crate::backend::check_timeout;
use crate::{Deadline, Effect, Error, Result, RsvpStore};

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
        self.check_as("timeout")
    }

    /// Refuses settings that are out of range, the limit under this name.
    pub(super) fn check_as(&self, field: &'static str) -> Result<()> {
        check_timeout(field, self.reads)?;
        check_timeout(if self.writes == self.reads { field } else { "write_timeout" }, self.writes)
    }
}

/// A store whose calls end in time.
///
/// The limit becomes the [deadline](Deadline) of the call, so that the store inside gives up in time
/// and learns the effect of what it gave up. Only a call that does not return by a quarter of a
/// second after its deadline is dropped, which is safe by contract. It fails as
/// [`Error::TimedOut`], a write or a step of a removal with unknown effect.
///
/// Everything else is kept. Inside of a [`RetryStore`](super::RetryStore) the limit is that of one
/// attempt, outside of it that of all attempts together.
pub type TimeoutStore<S> = Layered<Timeout, S>;

/// The layer of a [`TimeoutStore`].
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

/// How much later than its deadline a call of a store that keeps deadlines may return.
pub(super) const GRACE: Duration = Duration::from_millis(250);

impl Layer for Timeout {
    async fn call<C: Call, S: RsvpStore>(&self, call: C, store: &S) -> Result<C::Answer> {
        let (operation, TimeoutConfig { reads, writes }) = (call.operation(), self.0);
        let limit = if operation.is_write() { writes } else { reads };
        let began = Instant::now();
        let deadline = Deadline::after_moment(began, limit);
        let deadline = call.deadline().map_or(deadline, |own| own.min(deadline));
        // A call without a deadline of its own, such as `ready`, is dropped at the limit.
        let call = call.with_deadline(deadline);
        let grace = if call.deadline().is_some() { GRACE } else { Duration::ZERO };
        match within(deadline.instant() + grace, call.run(store)).await {
            Some(answer) => answer,
            None => Err(Error::timed_out(operation, began.elapsed(), Effect::Unknown)),
        }
    }
}

/// Waits for a call until a moment, as [`tokio::time::timeout_at`] does. A call that answers at once
/// costs no timer.
async fn within<T>(end: Instant, call: impl Future<Output = T>) -> Option<T> {
    let (mut call, mut timer) = (pin!(call), None);
    poll_fn(move |context| {
        if let Poll::Ready(answer) = call.as_mut().poll(context) {
            return Poll::Ready(Some(answer));
        }
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
        timer.as_mut().poll(context).map(|()| None)
    })
    .await
}
