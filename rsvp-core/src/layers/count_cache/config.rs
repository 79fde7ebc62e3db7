//! The settings of a count cache.

use std::time::Duration;

use crate::backend::{check_range, check_timeout};
use crate::{Consistency, Result};

/// The settings of a [`CountCache`](super::CountCache): the greatest age of its counts,
/// and their number.
///
/// ```
/// use std::time::Duration;
/// use rsvp_core::layers::CountCacheConfig;
///
/// let config = CountCacheConfig::default()
///     .with_max_age(Duration::from_secs(2))
///     .with_stale_if_error(Duration::from_secs(600));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CountCacheConfig {
    pub(super) max_age: Duration,
    pub(super) stale_if_error: Option<Duration>,
    pub(super) capacity: u64,
}

impl Default for CountCacheConfig {
    fn default() -> Self {
        Self { max_age: Consistency::DEFAULT_COUNT_BOUND, stale_if_error: None, capacity: 10_000 }
    }
}

impl CountCacheConfig {
    /// Sets the greatest age of a count from memory, within 1 ms to 1 h,
    /// even for a caller with a longer bound.
    /// It is the period in which the cache reads the count of an event once.
    /// Defaults to 5 s ([`Consistency::DEFAULT_COUNT_BOUND`]).
    #[must_use]
    pub fn with_max_age(self, age: Duration) -> Self {
        Self { max_age: age, ..self }
    }

    /// Returns the time for which an inexact count is kept: a small part of the greatest age.
    pub(super) fn short(&self) -> Duration {
        self.max_age / 20
    }

    /// Returns the time for which a write of an event and a read of its count wait for each other.
    ///
    /// It is longer than most writes take.
    /// Otherwise the two would overlap, and the count would be read again and again.
    /// Both are round trips, so the wait is seldom that long.
    /// It is short enough that a hanging call does not delay the others
    /// for longer than they would take themselves.
    pub(super) fn fence_timeout(&self) -> Duration {
        self.short().clamp(Duration::from_millis(50), Duration::from_millis(250))
    }

    /// Sets the greatest age of counts while the store fails, within 1 ms to 1 h. Defaults to off.
    ///
    /// These counts answer a caller if the store fails
    /// with a retryable error or does not answer by the caller's deadline, even
    /// if the caller's bound is shorter. Their [`Count::age`](crate::Count::age) tells their age.
    ///
    /// The name is that of the same directive of HTTP (RFC 5861).
    #[must_use]
    pub fn with_stale_if_error(self, age: Duration) -> Self {
        Self { stale_if_error: Some(age), ..self }
    }

    /// Sets the greatest number of events in memory, within 1 to 10,000,000. Defaults to 10,000.
    ///
    /// Recently used events stay (the CLOCK algorithm). An event costs about half a kilobyte.
    #[must_use]
    pub fn with_capacity(self, events: u64) -> Self {
        Self { capacity: events, ..self }
    }

    /// Refuses settings out of range.
    pub(crate) fn check(&self) -> Result<()> {
        check_timeout("count_cache", self.max_age)?;
        if let Some(age) = self.stale_if_error {
            check_timeout("stale_if_error", age)?;
        }
        check_range("count_cache_capacity", self.capacity, 1..=10_000_000)
    }
}
