//! A call of the store with its operation and its deadline, and the waits bounded by the deadline.

use std::time::Duration;

use rsvp_core::{Deadline, Error, Operation, Result};
use tokio::time::{Instant, timeout_at};

use crate::wire::failure::Failure;
use crate::wire::reply_timeout::ReplyTimeout;

/// The longest time reserved by a write for the fence of its connection.
const FENCE_TIME: Duration = Duration::from_millis(100);

/// The operation of a call, for its errors, and its deadline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) operation: Operation,
    deadline: Option<Deadline>,
}

impl Call {
    pub(crate) const fn new(operation: Operation, deadline: Option<Deadline>) -> Self {
        Self { operation, deadline }
    }

    /// A call without a deadline. The timeouts of the configuration bound it.
    pub(crate) const fn unbounded(operation: Operation) -> Self {
        Self::new(operation, None)
    }

    /// Whether the deadline has passed.
    pub(crate) fn is_late(&self) -> bool {
        self.deadline.is_some_and(Deadline::has_passed)
    }

    /// Refuses a call after its deadline.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_late() { Err(Error::too_late(self.operation)) } else { Ok(()) }
    }

    /// Waits for an operation with a time limit of its own, but not past the deadline.
    pub(crate) async fn within<T>(&self, wait: impl Future<Output = T>) -> Result<T, Failure> {
        let Some(deadline) = self.deadline else { return Ok(wait.await) };
        let began = Instant::now();
        if deadline.has_passed() {
            return Err(Failure::TooLate(Duration::ZERO));
        }
        let waited = timeout_at(deadline.instant(), wait).await;
        waited.map_err(|_| Failure::TooLate(began.elapsed()))
    }

    /// The end of a wait of at most `time`, and no longer than the deadline.
    pub(crate) fn end_of(&self, time: Duration) -> Instant {
        let end = Deadline::after(time);
        Deadline::earliest(self.deadline, Some(end)).unwrap_or(end).instant()
    }

    /// The wait for a reply, at most `time`, and no longer than the deadline.
    ///
    /// A write gives up a little before the deadline, to have time to settle its effect.
    pub(crate) fn reply_timeout(
        &self,
        time: Duration,
        writes: bool,
    ) -> Result<ReplyTimeout, Failure> {
        let Some(deadline) = self.deadline else {
            return Ok(ReplyTimeout { time, of_call: false });
        };
        let remaining = deadline.remaining();
        if remaining.is_zero() {
            return Err(Failure::TooLate(Duration::ZERO));
        }
        let kept = if writes { FENCE_TIME.min(remaining / 4) } else { Duration::ZERO };
        let own = remaining - kept;
        Ok(if own < time {
            ReplyTimeout { time: own, of_call: true }
        } else {
            ReplyTimeout { time, of_call: false }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(time: u64) -> Duration {
        Duration::from_millis(time)
    }

    fn due_in(time: Duration) -> Call {
        Call::new(Operation::Write, Some(Deadline::after(time)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_shortens_a_wait_and_never_lengthens_it() {
        let wait = |time, writes| due_in(time).reply_timeout(ms(500), writes).unwrap();
        assert_eq!(wait(ms(300), false), ReplyTimeout { time: ms(300), of_call: true });
        assert_eq!(wait(ms(300), true), ReplyTimeout { time: ms(225), of_call: true });
        assert_eq!(wait(ms(550), true), ReplyTimeout { time: ms(450), of_call: true });
        assert_eq!(wait(ms(5000), true), ReplyTimeout { time: ms(500), of_call: false });
        let unbounded = Call::unbounded(Operation::Write).reply_timeout(ms(500), true).unwrap();
        assert_eq!(unbounded, ReplyTimeout { time: ms(500), of_call: false });
        assert_eq!(due_in(ms(300)).end_of(ms(500)), Instant::now() + ms(300));
        assert_eq!(due_in(ms(900)).end_of(ms(500)), Instant::now() + ms(500));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_past_its_deadline_waits_for_nothing() {
        let late = due_in(Duration::ZERO);
        assert!(late.is_late() && late.check().is_err());
        assert!(matches!(late.reply_timeout(ms(500), true), Err(Failure::TooLate(_))));
    }
}
