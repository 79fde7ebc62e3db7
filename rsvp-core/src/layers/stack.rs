//! Layers as a value.

use std::sync::Arc;
use std::time::Duration;

use super::{CoalesceConfig, CountCacheConfig, LayerExt, LimitConfig, RetryConfig, TimeoutConfig};
use crate::backend::check_name;
use crate::url::Parameters;
use crate::{Error, Result, RsvpStore};

/// The layers of a store as a value, from a query or from code.
///
/// ```
/// use std::sync::Arc;
/// use rsvp_core::layers::Layers;
/// use rsvp_core::{Result, RsvpStore};
///
/// fn layered(store: impl RsvpStore + 'static) -> Result<Arc<dyn RsvpStore>> {
///     Layers::from_query("retry=2s&coalesce=true")?.around(store)
/// }
/// ```
///
/// The order of the parameters has no effect.
/// The layers go around the store in the order of this table, from the inside out.
/// [`LayerExt`] gives the reasons.
///
/// | parameter | setting |
/// |---|---|
/// | `observe=NAME` | [`ObservedStore`](super::ObservedStore) under this name |
/// | `timeout=2s` | [`TimeoutStore`](super::TimeoutStore), around each attempt |
/// | `write_timeout=2s` | [`TimeoutConfig::with_writes`] |
/// | `retry=2s` | [`RetryStore`](super::RetryStore) with this deadline |
/// | `retry_attempts=5` | [`RetryConfig::with_max_attempts`] |
/// | `retry_budget=100` | [`RetryConfig::with_retry_budget`] |
/// | `retry_unknown=false` | [`RetryConfig::with_unknown_writes`] |
/// | `limit=64` | [`LimitStore`](super::LimitStore) with this many concurrent calls |
/// | `limit_queue=512` | [`LimitConfig::with_queue`] |
/// | `coalesce=true` | [`CoalescedStore`](super::CoalescedStore) |
/// | `coalesce_lanes=4` | [`CoalesceConfig::with_lanes`] |
/// | `coalesce_reads=2` | [`CoalesceConfig::with_concurrent_reads`] |
/// | `coalesce_batch=2048` | [`CoalesceConfig::with_max_batch`] |
/// | `coalesce_pending=16384` | [`CoalesceConfig::with_max_pending`] |
/// | `count_cache=5s` | [`CountCache`](super::CountCache) with this greatest age |
/// | `count_cache_capacity=10000` | [`CountCacheConfig::with_capacity`] |
/// | `stale_if_error=600s` | [`CountCacheConfig::with_stale_if_error`] |
/// | `deadline=3s` | [`TimeoutStore`](super::TimeoutStore), around every call with all its attempts |
///
/// A setting needs its layer. For example `retry_attempts` without `retry` is refused.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Layers {
    observe: Option<String>,
    timeout: Option<TimeoutConfig>,
    retry: Option<RetryConfig>,
    limit: Option<LimitConfig>,
    coalesce: Option<Switch>,
    count_cache: Option<CountCacheConfig>,
    deadline: Option<TimeoutConfig>,
}

/// A layer that a single shard can switch off if all shards have it.
#[derive(Clone, Copy, Debug)]
enum Switch {
    Off,
    On(CoalesceConfig),
}

impl Layers {
    /// Makes an empty set of layers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Parses layers from a query such as `retry=2s&coalesce=true`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the name of a malformed or repeated parameter,
    /// or of one out of range. The field is `url` for an unknown parameter.
    pub fn from_query(query: &str) -> Result<Self> {
        let mut parameters = Parameters::parse(query)?;
        let layers = Self::take_from(&mut parameters)?;
        parameters.finish()?;
        Ok(layers)
    }

    /// Takes the parameters of layers out of those of a URL, and leaves the rest to the backend.
    ///
    /// ```
    /// use rsvp_core::layers::Layers;
    /// use rsvp_core::url::StoreUrl;
    ///
    /// let mut url = StoreUrl::parse("kv://localhost?retry=2s&table=rsvps")?;
    /// let layers = Layers::take_from(url.parameters_mut())?;
    /// // The backend takes its own parameters.
    /// assert_eq!(url.parameters_mut().take("table")?.as_deref(), Some("rsvps"));
    /// url.parameters_mut().finish()?;
    /// # Ok::<(), rsvp_core::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`from_query`](Self::from_query), but for unknown parameters.
    pub fn take_from(parameters: &mut Parameters) -> Result<Self> {
        let layers = Self {
            observe: parameters.take("observe")?,
            timeout: take_timeout(parameters)?,
            retry: take_retry(parameters)?,
            limit: take_limit(parameters)?,
            coalesce: take_coalesce(parameters)?,
            count_cache: take_count_cache(parameters)?,
            deadline: parameters.take_duration("deadline")?.map(TimeoutConfig::new),
        };
        layers.check()?;
        Ok(layers)
    }

    /// Observes the store itself under a name.
    #[must_use]
    pub fn with_observer(self, name: impl Into<String>) -> Self {
        Self { observe: Some(name.into()), ..self }
    }

    /// Bounds the time of each attempt.
    #[must_use]
    pub fn with_timeout(self, config: TimeoutConfig) -> Self {
        Self { timeout: Some(config), ..self }
    }

    /// Retries retryable errors.
    #[must_use]
    pub fn with_retry(self, config: RetryConfig) -> Self {
        Self { retry: Some(config), ..self }
    }

    /// Bounds the number of concurrent calls.
    #[must_use]
    pub fn with_limit(self, config: LimitConfig) -> Self {
        Self { limit: Some(config), ..self }
    }

    /// Combines many small calls into few large batches.
    #[must_use]
    pub fn with_coalescing(self, config: CoalesceConfig) -> Self {
        Self { coalesce: Some(Switch::On(config)), ..self }
    }

    /// Answers counts with a relaxed consistency from memory.
    #[must_use]
    pub fn with_count_cache(self, config: CountCacheConfig) -> Self {
        Self { count_cache: Some(config), ..self }
    }

    /// Bounds the time of every call with all its attempts.
    #[must_use]
    pub fn with_deadline(self, limit: Duration) -> Self {
        Self { deadline: Some(TimeoutConfig::new(limit)), ..self }
    }

    /// Checks that every setting is within its range.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the name of the setting.
    pub fn check(&self) -> Result<()> {
        if let Some(name) = &self.observe {
            check_name("observe", name)?;
        }
        self.timeout.as_ref().map_or(Ok(()), TimeoutConfig::check)?;
        self.retry.as_ref().map_or(Ok(()), RetryConfig::check)?;
        self.limit.as_ref().map_or(Ok(()), LimitConfig::check)?;
        if let Some(Switch::On(config)) = &self.coalesce {
            config.check()?;
        }
        self.count_cache.as_ref().map_or(Ok(()), CountCacheConfig::check)?;
        self.deadline.as_ref().map_or(Ok(()), |config| config.check_as("deadline"))
    }

    /// Puts the layers around a store.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check).
    pub fn around(&self, store: impl RsvpStore + 'static) -> Result<Arc<dyn RsvpStore>> {
        // From the inside out. `LayerExt` explains the order.
        let mut store: Arc<dyn RsvpStore> = Arc::new(store);
        if let Some(name) = &self.observe {
            store = Arc::new(store.with_observer(name)?);
        }
        if let Some(config) = self.timeout {
            store = Arc::new(store.with_timeout(config)?);
        }
        if let Some(config) = self.retry {
            store = Arc::new(store.with_retry(config)?);
        }
        if let Some(config) = self.limit {
            store = Arc::new(store.with_limit(config)?);
        }
        if let Some(Switch::On(config)) = self.coalesce {
            store = Arc::new(store.with_coalescing(config)?);
        }
        if let Some(config) = self.count_cache {
            store = Arc::new(store.with_count_cache(config)?);
        }
        if let Some(config) = self.deadline {
            store = Arc::new(store.with_timeout(config)?);
        }
        Ok(store)
    }

    /// Divides the layers of a sharded store into the layers of each shard
    /// and the layers around all shards as one.
    ///
    /// Timeouts, retries, limits and coalescing belong to each shard,
    /// so a slow or failed shard does not affect the others.
    /// The observer, the count cache and the deadline belong to all.
    #[must_use]
    pub fn divide(self) -> (Self, Self) {
        let Self { observe, timeout, retry, limit, coalesce, count_cache, deadline } = self;
        // Layers of each shard, then layers around all shards.
        let each = Self { timeout, retry, limit, coalesce, ..Self::default() };
        (each, Self { observe, count_cache, deadline, ..Self::default() })
    }

    /// Returns these layers, completed by the layers of `others`.
    #[must_use]
    pub fn or(self, others: &Self) -> Self {
        Self {
            observe: self.observe.or_else(|| others.observe.clone()),
            timeout: self.timeout.or(others.timeout),
            retry: self.retry.or(others.retry),
            limit: self.limit.or(others.limit),
            coalesce: self.coalesce.or(others.coalesce),
            count_cache: self.count_cache.or(others.count_cache),
            deadline: self.deadline.or(others.deadline),
        }
    }
}

fn take_timeout(parameters: &mut Parameters) -> Result<Option<TimeoutConfig>> {
    let (limit, writes) =
        (parameters.take_duration("timeout")?, parameters.take_duration("write_timeout")?);
    let config = limit.map(TimeoutConfig::new);
    set("write_timeout", "timeout", config, writes, TimeoutConfig::with_writes)
}

fn take_retry(parameters: &mut Parameters) -> Result<Option<RetryConfig>> {
    let deadline = parameters.take_duration("retry")?;
    let config = deadline.map(|deadline| RetryConfig::default().with_deadline(deadline));
    let attempts = parameters.take_parsed("retry_attempts", A_NUMBER)?;
    let config = set("retry_attempts", "retry", config, attempts, RetryConfig::with_max_attempts)?;
    let budget = parameters.take_parsed("retry_budget", A_NUMBER)?;
    let config = set("retry_budget", "retry", config, budget, RetryConfig::with_retry_budget)?;
    let unknown = parameters.take_flag("retry_unknown")?;
    set("retry_unknown", "retry", config, unknown, RetryConfig::with_unknown_writes)
}

fn take_limit(parameters: &mut Parameters) -> Result<Option<LimitConfig>> {
    let config = parameters.take_parsed("limit", A_NUMBER)?.map(LimitConfig::new);
    let queue = parameters.take_parsed("limit_queue", A_NUMBER)?;
    set("limit_queue", "limit", config, queue, LimitConfig::with_queue)
}

fn take_coalesce(parameters: &mut Parameters) -> Result<Option<Switch>> {
    let switch = parameters.take_flag("coalesce")?;
    let config = (switch == Some(true)).then(CoalesceConfig::default);
    let layer = "coalesce=true";
    let lanes = parameters.take_parsed("coalesce_lanes", A_NUMBER)?;
    let config = set("coalesce_lanes", layer, config, lanes, CoalesceConfig::with_lanes)?;
    let reads = parameters.take_parsed("coalesce_reads", A_NUMBER)?;
    let config =
        set("coalesce_reads", layer, config, reads, CoalesceConfig::with_concurrent_reads)?;
    let batch = parameters.take_parsed("coalesce_batch", A_NUMBER)?;
    let config = set("coalesce_batch", layer, config, batch, CoalesceConfig::with_max_batch)?;
    let pending = parameters.take_parsed("coalesce_pending", A_NUMBER)?;
    let config = set("coalesce_pending", layer, config, pending, CoalesceConfig::with_max_pending)?;
    Ok(config.map(Switch::On).or(switch.map(|_| Switch::Off)))
}

fn take_count_cache(parameters: &mut Parameters) -> Result<Option<CountCacheConfig>> {
    let age = parameters.take_duration("count_cache")?;
    let config = age.map(|age| CountCacheConfig::default().with_max_age(age));
    let layer = "count_cache";
    let capacity = parameters.take_parsed("count_cache_capacity", A_NUMBER)?;
    let config =
        set("count_cache_capacity", layer, config, capacity, CountCacheConfig::with_capacity)?;
    let stale = parameters.take_duration("stale_if_error")?;
    set("stale_if_error", layer, config, stale, CountCacheConfig::with_stale_if_error)
}

const A_NUMBER: &str = "a number";

/// Applies a setting to the configuration of its layer, if both are given.
fn set<C, T>(
    name: &'static str,
    layer: &str,
    config: Option<C>,
    value: Option<T>,
    with: impl Fn(C, T) -> C,
) -> Result<Option<C>> {
    match (config, value) {
        (Some(config), Some(value)) => Ok(Some(with(config, value))),
        (None, Some(_)) => Err(Error::invalid_input(name, format!("needs {layer}"))),
        (config, None) => Ok(config),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(query: &str) -> String {
        Layers::from_query(query).unwrap_err().to_string()
    }

    #[test]
    fn every_setting_of_a_layer_can_stand_in_a_query() {
        let layers = Layers::from_query(
            "observe=db&timeout=1s&write_timeout=3s&retry=4s&retry_attempts=5&retry_budget=6\
             &retry_unknown=false&limit=7&limit_queue=8&coalesce=true&coalesce_lanes=9\
             &coalesce_reads=10&coalesce_batch=11&coalesce_pending=12&count_cache=13s\
             &count_cache_capacity=14&stale_if_error=15s&deadline=16s",
        );
        let shown = format!("{:?}", layers.unwrap());
        assert_eq!(
            shown,
            "Layers { observe: Some(\"db\"), timeout: Some(TimeoutConfig { reads: 1s, writes: 3s \
             }), retry: Some(RetryConfig { deadline: 4s, max_attempts: 5, retry_budget: 6, \
             unknown_writes: false }), limit: Some(LimitConfig { concurrency: 7, queue: Some(8) \
             }), coalesce: Some(On(CoalesceConfig { lanes: 9, concurrent_reads: 10, max_batch: \
             11, max_pending: 12 })), count_cache: Some(CountCacheConfig { max_age: 13s, \
             stale_if_error: Some(15s), capacity: 14 }), deadline: Some(TimeoutConfig { reads: \
             16s, writes: 16s }) }"
        );
    }

    #[test]
    fn a_setting_without_its_layer_is_refused() {
        assert_eq!(refused("retry_attempts=3"), "invalid retry_attempts: needs retry");
        assert_eq!(refused("coalesce_lanes=3"), "invalid coalesce_lanes: needs coalesce=true");
        assert_eq!(refused("stale_if_error=3s"), "invalid stale_if_error: needs count_cache");
    }

    #[test]
    fn a_setting_out_of_range_is_refused_before_there_is_a_store() {
        assert_eq!(refused("retry=0s"), "invalid retry: is not within 1ms to 3600s");
        assert_eq!(refused("limit=0"), "invalid limit: is not within 1 to 1000000");
        assert_eq!(refused("limit=many"), "invalid limit: is not a number");
        assert_eq!(refused("coalesce=yes"), "invalid coalesce: is not true or false");
        assert_eq!(
            refused("timeout=1s&timeout=1s"),
            "invalid timeout: is specified more than once"
        );
        assert!(refused("observe=a b").starts_with("invalid observe: "));
    }

    #[test]
    fn an_unknown_parameter_is_answered_with_those_of_the_layers() {
        let message = refused("coalese=true");
        assert!(
            message.starts_with("invalid url: unknown parameter `coalese`; supported: `observe`")
        );
        assert!(message.contains("`coalesce`"), "{message}");
    }

    #[test]
    fn a_shard_keeps_its_own_layers_and_has_those_of_all_otherwise() {
        let (each, all) =
            Layers::from_query("retry=2s&coalesce=true&observe=a&count_cache=1s").unwrap().divide();
        assert!(each.observe.is_none() && each.count_cache.is_none() && all.retry.is_none());
        let own = Layers::from_query("coalesce=false&timeout=1s").unwrap().or(&each);
        assert!(matches!(own.coalesce, Some(Switch::Off)));
        assert!(own.timeout.is_some() && own.retry.is_some());
    }
}
