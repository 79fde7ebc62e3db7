//! Deadlines of calls.

use std::time::Duration;

use tokio::time::Instant;

/// The moment after which the caller has no use for an answer.
///
/// It travels with the call down to the engine. A layer may lower it, and never raises it.
///
/// ```
/// use std::time::Duration;
/// use rsvp_core::Deadline;
///
/// let (soon, later) = (Deadline::after(Duration::from_secs(1)), Deadline::after(Duration::from_secs(9)));
/// assert!(soon < later && !soon.has_passed());
/// assert_eq!(Deadline::earliest(Some(later), Some(soon)), Some(soon));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline(Instant);

impl Deadline {
    /// Makes a deadline this long from now.
    #[must_use]
    pub fn after(time: Duration) -> Self {
        Self::after_moment(Instant::now(), time)
    }

    /// Makes a deadline this long after a moment.
    pub(crate) fn after_moment(moment: Instant, time: Duration) -> Self {
        // Thirty years stand for a time that an `Instant` cannot hold.
        let far = || moment + Duration::from_secs(30 * 365 * 24 * 3600);
        Self(moment.checked_add(time).unwrap_or_else(far))
    }

    /// Makes a deadline at this moment.
    #[must_use]
    pub fn at(moment: Instant) -> Self {
        Self(moment)
    }

    /// Returns the moment itself.
    #[must_use]
    pub fn instant(self) -> Instant {
        self.0
    }

    /// Returns the time left, zero if the deadline has passed.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Returns whether the deadline has passed.
    #[must_use]
    pub fn has_passed(self) -> bool {
        self.remaining().is_zero()
    }

    /// Returns the earlier of two deadlines, each of them optional.
    #[must_use]
    pub fn earliest(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }
}
