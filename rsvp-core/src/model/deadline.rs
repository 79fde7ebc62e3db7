//! How long the answer of a call is of use.

use std::time::Duration;

use tokio::time::Instant;

/// The moment after which nobody can use the answer of a call any more.
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
    /// A deadline this long from now.
    #[must_use]
    pub fn after(time: Duration) -> Self {
        Self::after_moment(Instant::now(), time)
    }

    /// A deadline this long after a moment.
    pub(crate) fn after_moment(moment: Instant, time: Duration) -> Self {
        // Thirty years stand for a time that an `Instant` cannot hold.
        let far = || moment + Duration::from_secs(30 * 365 * 24 * 3600);
        Self(moment.checked_add(time).unwrap_or_else(far))
    }

    /// A deadline at this moment.
    #[must_use]
    pub fn at(moment: Instant) -> Self {
        Self(moment)
    }

    /// The moment itself.
    #[must_use]
    pub fn instant(self) -> Instant {
        self.0
    }

    /// The time that is left, zero if the deadline has passed.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether the deadline has passed.
    #[must_use]
    pub fn has_passed(self) -> bool {
        self.remaining().is_zero()
    }

    /// The earlier of two deadlines, of which each may be missing.
    #[must_use]
    pub fn earliest(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }
}
