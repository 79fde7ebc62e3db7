//! How old a cached count may be, and how many are kept.

use std::time::Duration;

use crate::backend::{check_range, check_timeout};
use crate::{Consistency, Result};

/// How old the counts of a [`CountCache`](super::CountCache) may be, and how many it keeps.
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
    /// Sets the greatest age of a count from memory, within 1 ms to 1 h, also for a caller that
    /// would take an older one. It is the period in which an event's count is read once. Defaults
    /// to 5 s ([`Consistency::DEFAULT_COUNT_BOUND`]).
    #[must_use]
    pub fn with_max_age(self, age: Duration) -> Self {
        Self { max_age: age, ..self }
    }

    /// The time for which a count is kept that is not exact: a small part of the greatest age.
    pub(super) fn short(&self) -> Duration {
        self.max_age / 20
    }

    /// The time for which a write of an event and a read of its count wait for each other.
    ///
    /// It is longer than writes usually take, or they overlap and the count is read again and
    /// again. It is seldom used up, since both are round trips. It is not so long that a call
    /// which hangs holds the others up for longer than they would take.
    pub(super) fn fence_timeout(&self) -> Duration {
        self.short().clamp(Duration::from_millis(50), Duration::from_millis(250))
    }

    /// Answers counts of up to this age, within 1 ms to 1 h, while the store fails with retryable
    /// errors or does not answer by the caller's deadline, also where the caller's bound is shorter.
    /// Their [`Count::age`](crate::Count::age) tells. Defaults to off.
    ///
    /// The name is that of the same directive of HTTP (RFC 5861).
    #[must_use]
    pub fn with_stale_if_error(self, age: Duration) -> Self {
        Self { stale_if_error: Some(age), ..self }
    }

    /// Sets the most events whose counts are kept, within 1 to 10,000,000. Defaults to 10,000.
    ///
    /// Events that were asked for since the last look stay (the CLOCK algorithm). An event costs
    /// about half a kilobyte.
    #[must_use]
    pub fn with_capacity(self, events: u64) -> Self {
        Self { capacity: events, ..self }
    }

    /// Refuses settings that are out of range.
    pub(crate) fn check(&self) -> Result<()> {
        check_timeout("count_cache", self.max_age)?;
        if let Some(age) = self.stale_if_error {
            check_timeout("stale_if_error", age)?;
        }
        check_range("count_cache_capacity", self.capacity, 1..=10_000_000)
    }
}
