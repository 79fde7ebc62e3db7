//! How old a cached count may be, and how many are kept.

use std::time::Duration;

use crate::url::check_timeout;
use crate::{Consistency, Error, Result};

/// How old the counts of a [`CountCache`](super::CountCache) may be, and how many it keeps.
///
/// ```
/// use std::time::Duration;
/// use rsvp_core::CountCacheConfig;
///
/// let config = CountCacheConfig::default()
///     .with_max_age(Duration::from_secs(2))?
///     .with_stale_if_error(Duration::from_secs(600))?;
/// # Ok::<(), rsvp_core::Error>(())
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
    /// The most that a count from memory may be old, also where the caller would take an older
    /// one; 5 s unless said otherwise ([`Consistency::DEFAULT_COUNT_BOUND`]). It is the period in
    /// which an event's count is read once.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] unless it is within 1 ms to 1 h.
    pub fn with_max_age(self, age: Duration) -> Result<Self> {
        Ok(Self { max_age: check_timeout("count_cache", age)?, ..self })
    }

    /// A small part of the greatest age: for so long a count is kept that is not settled.
    pub(super) fn short(&self) -> Duration {
        self.max_age / 20
    }

    /// How long a write of an event and a read of its count wait for each other.
    ///
    /// Longer than writes usually take, or they overlap and the count is read again and again;
    /// seldom used up, for both are round trips; and not so long that a call which hangs holds the
    /// others up for longer than they would take.
    pub(super) fn patience(&self) -> Duration {
        self.short().clamp(Duration::from_millis(50), Duration::from_millis(250))
    }

    /// While the store fails with what is worth repeating, answer counts that are up to this old,
    /// older than the caller's bound too. Their [`Count::age`](crate::Count::age) tells. Not done
    /// unless said so.
    ///
    /// (The name is that of RFC 5861, which has the same for HTTP.)
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] unless it is within 1 ms to 1 h.
    pub fn with_stale_if_error(self, age: Duration) -> Result<Self> {
        Ok(Self { stale_if_error: Some(check_timeout("stale_if_error", age)?), ..self })
    }

    /// The most events whose counts are kept; 10,000 unless said otherwise. Those asked for most
    /// often and most recently stay. An event costs about half a kilobyte.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] unless it is within 1 to 10,000,000.
    pub fn with_capacity(self, events: u64) -> Result<Self> {
        if !(1..=10_000_000).contains(&events) {
            return Err(Error::invalid_input("capacity", "is not within 1 to 10000000"));
        }
        Ok(Self { capacity: events, ..self })
    }
}
