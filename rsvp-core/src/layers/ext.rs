//! The constructors of the layers.

use super::{
    CoalesceConfig, CoalescedStore, CountCache, CountCacheConfig, Layer, Layered, LimitConfig,
    LimitStore, ObservedStore, RetryConfig, RetryStore, TimeoutConfig, TimeoutStore,
};
use crate::{Result, RsvpStore};

/// The constructors of layers, for any [`RsvpStore`].
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
/// [`Layers`](super::Layers) makes the same composition from a query such
/// as `retry=2s&coalesce=true`.
///
/// # Order
///
/// 1. [`with_observer`](Self::with_observer) innermost shows every attempt
///    and every batch sent to the backend.
/// 2. [`with_timeout`](Self::with_timeout) inside of `with_retry` bounds each attempt,
///    so a hanging attempt is retried. Around `with_retry` it bounds all attempts together.
/// 3. [`with_retry`](Self::with_retry) inside of `with_coalescing` retries a batch once
///    for all its callers, and the batch keeps its turn.
///    Outside, a retried write would come after later writes of its pair,
///    and calls refused for overload would come back at once.
/// 4. [`ShardedStore`](super::ShardedStore) stands around its shards.
///    Each shard has all of the above and its own coalescing,
///    so a slow or failed shard affects its own batches only.
///    With coalescing or retries around all shards, a batch would wait for the slowest shard
///    and for its retries.
/// 5. [`with_limit`](Self::with_limit) stands around a store without a bound of its own.
///    Coalescing has one.
/// 6. [`with_coalescing`](Self::with_coalescing) inside of `with_count_cache` lets an answer
///    from memory skip the queue.
/// 7. [`with_count_cache`](Self::with_count_cache) stands outside of every layer
///    that changes counts, because it sees only the writes that pass through it.
/// 8. [`with_observer`](Self::with_observer) outermost shows the calls of the callers.
///
/// Layers that wait need a Tokio runtime with timers, such as `#[tokio::main]` makes.
/// Tokio panics without one.
///
/// # Errors
///
/// Every method returns [`Error::InvalidInput`](crate::Error::InvalidInput) with the name
/// of a setting out of range.
pub trait LayerExt: RsvpStore + Sized {
    /// Puts a custom [`Layer`] around the store.
    fn with_layer<L: Layer>(self, layer: L) -> Layered<L, Self> {
        Layered::around(self, layer)
    }

    /// Puts a [`CoalescedStore`] around the store.
    /// It combines many small calls into few large batches.
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

    /// Puts a [`CountCache`] around the store.
    /// It answers counts with a relaxed consistency from memory.
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

    /// Puts a [`RetryStore`] around the store. It retries retryable errors.
    ///
    /// # Errors
    ///
    /// As [`RetryStore::new`].
    fn with_retry(self, config: RetryConfig) -> Result<RetryStore<Self>> {
        RetryStore::new(self, config)
    }

    /// Puts a [`TimeoutStore`] around the store. It bounds the time of every call.
    ///
    /// # Errors
    ///
    /// As [`TimeoutStore::new`].
    fn with_timeout(self, config: TimeoutConfig) -> Result<TimeoutStore<Self>> {
        TimeoutStore::new(self, config)
    }

    /// Puts a [`LimitStore`] around the store. It bounds the number of concurrent calls.
    ///
    /// # Errors
    ///
    /// As [`LimitStore::new`].
    fn with_limit(self, config: LimitConfig) -> Result<LimitStore<Self>> {
        LimitStore::new(self, config)
    }

    /// Puts an [`ObservedStore`] around the store.
    /// It counts, times and traces every call under a name.
    ///
    /// # Errors
    ///
    /// As [`ObservedStore::new`].
    fn with_observer(self, name: &str) -> Result<ObservedStore<Self>> {
        ObservedStore::new(self, name)
    }
}

impl<S: RsvpStore> LayerExt for S {}
