//! The moments of one call, from its beginning to its end.

use std::time::Duration;

use rsvp_core::Deadline;
use tokio::time::Instant;

/// The server reports its statement timeout within this time, or has fallen silent.
/// The stopping of a call takes at most this time, too.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// The steps of a call from its beginning to its end.
///
/// A call has the statement timeout plus the grace, and ends at its deadline if that is earlier.
/// The last third of its time, and at most the grace, is for stopping it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    began: Instant,
    /// The call takes long, and may have to be stopped.
    pub(super) slow_at: Instant,
    /// The server is asked to cancel, and no statement of the call may begin any more.
    pub(super) cancel_at: Instant,
    /// The server has not answered, and the connection is closed.
    pub(super) give_up_at: Instant,
    /// The caller gets an answer, even an uncertain one.
    end: Instant,
    statement_timeout: Duration,
}

impl Schedule {
    /// Makes the schedule of a new call.
    pub(super) fn new(deadline: Option<Deadline>, statement_timeout: Duration) -> Self {
        // From the end backwards, because the deadline decides how much time there is.
        let began = Instant::now();
        let longest = began + statement_timeout + GRACE;
        let end = deadline.map_or(longest, |deadline| longest.min(deadline.instant()));
        let stopping = (end.saturating_duration_since(began) / 3).min(GRACE);
        let cancel_at = end - stopping;
        Self {
            began,
            slow_at: began + cancel_at.saturating_duration_since(began) / 2,
            cancel_at,
            give_up_at: end - stopping / 2,
            end,
            statement_timeout,
        }
    }

    /// Returns the time since the beginning, in whole milliseconds.
    pub(super) fn elapsed(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Returns the moment until which a call that fails now may be fenced.
    pub(super) fn fence_until(&self) -> Instant {
        self.end.min(Instant::now() + GRACE)
    }

    /// Returns the moment at which the caller gets an answer, even an uncertain one.
    pub(super) fn end(&self) -> Instant {
        self.end
    }

    /// Returns the moment at which every statement of the call is over, even if nothing stops it.
    /// A statement begins in time or not at all, and the server's timeout has ended it by then.
    pub(super) fn over(&self) -> Deadline {
        Deadline::at(self.cancel_at.max(Instant::now()) + self.statement_timeout + GRACE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_third_of_a_short_call_is_for_stopping_it() {
        let ms = Duration::from_millis;
        let (now, soon) = (Instant::now(), Some(Deadline::after(ms(300))));
        let schedule = Schedule::new(soon, ms(5000));
        assert_eq!(schedule.slow_at, now + ms(100));
        assert_eq!(schedule.cancel_at, now + ms(200));
        assert_eq!(schedule.give_up_at, now + ms(250));
        assert_eq!(schedule.end, now + ms(300));
        assert_eq!(schedule.over().instant(), now + ms(200 + 5000 + 1000));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_without_a_deadline_has_the_statement_timeout_and_the_grace() {
        let (now, timeout) = (Instant::now(), Duration::from_secs(5));
        for deadline in [None, Some(Deadline::after(Duration::MAX))] {
            let schedule = Schedule::new(deadline, timeout);
            assert_eq!(schedule.cancel_at, now + timeout);
            assert_eq!(schedule.end, now + timeout + GRACE);
            assert_eq!(schedule.fence_until(), now + GRACE);
        }
    }
}
