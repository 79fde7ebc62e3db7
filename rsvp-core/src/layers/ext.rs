//! The constructors of the layers.

use super::{
    CoalesceConfig, CoalescedStore, CountCache, CountCacheConfig, Layer, Layered, LimitConfig,
    LimitStore, ObservedStore, RetryConfig, RetryStore, TimeoutConfig, TimeoutStore,
};
use crate::{Result, RsvpStore};

/// Puts layers around any [`RsvpStore`].
///
/// Layers compose in one expression, from the inside out:
///
/// ```
/// use std::time::Duration;
/// use rsvp_core::layers::{CoalesceConfig, CountCacheConfig, LayerExt, RetryConfig, TimeoutConfig};
/// use rsvp_core::{Result, RsvpStore};
///
/// fn layered(backend: impl RsvpStore + 'static) -> Result<impl RsvpStore> {
///     backend
///         .with_observer("postgres")?
///         .with_timeout(TimeoutConfig::new(Duration::from_secs(1)))?
///         .with_retry(RetryConfig::default())?
///         .with_coalescing(CoalesceConfig::default())?
///         .with_count_cache(CountCacheConfig::default())?
///         .with_observer("tickets")
/// }
/// ```
///
/// [`Layers`](super::Layers) makes the same composition from a query such as
/// `retry=2s&coalesce=true`.
///
/// # Order
///
/// 1. [`with_observer`](Self::with_observer) inside shows every attempt and every batch that the
///    backend gets.
/// 2. [`with_timeout`](Self::with_timeout) inside of `with_retry` bounds each attempt, and a call
///    that hangs is retried. Around it the limit would be that of all attempts.
/// 3. [`with_retry`](Self::with_retry) inside of `with_coalescing` retries a batch once for all its
///    callers and keeps its turn. Outside, a retried write would come after later writes of its
///    pair, and calls refused for overload would come back at once.
/// 4. [`ShardedStore`](super::ShardedStore) stands around shards of which each has all of the
///    above, and coalescing too. Then a shard that is down or slow fails or delays its own batches
///    only. With coalescing or retries around all shards, a batch waits for the slowest shard and
///    for its retries.
/// 5. [`with_limit`](Self::with_limit) stands around a store without a bound of its own. Coalescing
///    has one.
/// 6. [`with_coalescing`](Self::with_coalescing) inside of `with_count_cache` lets an answer from
///    memory skip the queue.
/// 7. [`with_count_cache`](Self::with_count_cache) stands outside of every layer that changes
///    counts, since it sees only the writes that go through it.
/// 8. [`with_observer`](Self::with_observer) outside shows the calls of the callers.
///
/// Layers that wait need a Tokio runtime with timers, such as `#[tokio::main]` makes. Tokio panics
/// without one.
///
/// # Errors
///
/// Every method returns [`Error::InvalidInput`](crate::Error::InvalidInput) with the name of the
/// setting that is out of range.
pub trait LayerExt: RsvpStore + Sized {
    /// Puts a layer around the store: see [`Layer`].
    fn with_layer<L: Layer>(self, layer: L) -> Layered<L, Self> {
        Layered::around(self, layer)
    }

    /// Makes few large batches out of many small calls: see [`CoalescedStore`].
    ///
    /// # Errors
    ///
    /// As [`CoalescedStore::new`].
    fn with_coalescing(self, config: CoalesceConfig) -> Result<CoalescedStore<Self>>
    where
        Self: 'static,
    {
        CoalescedStore::new(self, config)
    }

    /// Answers counts from memory where they may be older: see [`CountCache`].
    ///
    /// # Errors
    ///
    /// As [`CountCache::new`].
    fn with_count_cache(self, config: CountCacheConfig) -> Result<CountCache<Self>>
    where
        Self: 'static,
    {
        CountCache::new(self, config)
    }

    /// Retries retryable errors: see [`RetryStore`].
    ///
    /// # Errors
    ///
    /// As [`RetryStore::new`].
    fn with_retry(self, config: RetryConfig) -> Result<RetryStore<Self>> {
        RetryStore::new(self, config)
    }

    /// Bounds the time of every call: see [`TimeoutStore`].
    ///
    /// # Errors
    ///
    /// As [`TimeoutStore::new`].
    fn with_timeout(self, config: TimeoutConfig) -> Result<TimeoutStore<Self>> {
        TimeoutStore::new(self, config)
    }

    /// Bounds the number of calls at once: see [`LimitStore`].
    ///
    /// # Errors
    ///
    /// As [`LimitStore::new`].
    fn with_limit(self, config: LimitConfig) -> Result<LimitStore<Self>> {
        LimitStore::new(self, config)
    }

    /// Counts, times and traces every call under a name: see [`ObservedStore`].
    ///
    /// # Errors
    ///
    /// As [`ObservedStore::new`].
    fn with_observer(self, name: &str) -> Result<ObservedStore<Self>> {
        ObservedStore::new(self, name)
    }
}

impl<S: RsvpStore> LayerExt for S {}
