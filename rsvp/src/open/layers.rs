//! The wrappers that a URL asks for, and the order in which they go around the store.

use std::sync::Arc;
use std::time::Duration;

use rsvp_core::url::parse_duration;
use rsvp_core::{
    CoalesceConfig, CountCacheConfig, Error, LimitConfig, Result, RetryConfig, RsvpStore,
    RsvpStoreExt, TimeoutConfig,
};

/// What goes around a store. Parameters of other names are the backend's.
#[derive(Debug, Default)]
pub(super) struct Layers {
    observe: Option<String>,
    timeout: Option<TimeoutConfig>,
    retry: Option<RetryConfig>,
    limit: Option<LimitConfig>,
    coalesce: Option<bool>,
    count_cache: Option<Duration>,
    stale_if_error: Option<Duration>,
}

impl Layers {
    /// Takes its parameters out of a URL's query, and returns what is left of the URL.
    pub(super) fn split(url: &str) -> Result<(String, Self)> {
        let (rest, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut layers, mut others) = (Self::default(), Vec::new());
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            if !layers.take(name, value)? {
                others.push(parameter);
            }
        }
        let separator = if others.is_empty() { "" } else { "?" };
        Ok((format!("{rest}{separator}{}", others.join("&")), layers))
    }

    /// Whether it is a parameter of a wrapper.
    pub(super) fn take(&mut self, name: &str, value: &str) -> Result<bool> {
        let duration = |field| parse_duration(field, value);
        match name {
            "observe" => once("observe", &mut self.observe, value.to_owned())?,
            "timeout" => {
                once("timeout", &mut self.timeout, TimeoutConfig::new(duration("timeout")?)?)?;
            }
            "retry" => {
                let config = RetryConfig::default().with_budget(duration("retry")?)?;
                once("retry", &mut self.retry, config)?;
            }
            "limit" => {
                let no_number = |_| Error::invalid_input("limit", "is not a number");
                let config = LimitConfig::new(value.parse().map_err(no_number)?)?;
                once("limit", &mut self.limit, config)?;
            }
            "coalesce" => {
                let no_flag = |_| Error::invalid_input("coalesce", "is neither true nor false");
                once("coalesce", &mut self.coalesce, value.parse().map_err(no_flag)?)?;
            }
            "count_cache" => {
                once("count_cache", &mut self.count_cache, duration("count_cache")?)?;
            }
            "stale_if_error" => {
                once("stale_if_error", &mut self.stale_if_error, duration("stale_if_error")?)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Divides what many stores are given together: what goes around each of them, so that one that
    /// is down or slow leaves the others alone, and what goes around all of them as one.
    pub(super) fn divide(self) -> (Self, Self) {
        let Self { timeout, retry, limit, coalesce, observe, count_cache, stale_if_error } = self;
        let each = Self { timeout, retry, limit, coalesce, ..Self::default() };
        (each, Self { observe, count_cache, stale_if_error, ..Self::default() })
    }

    /// With what `others` has and this one has not.
    pub(super) fn or(self, others: &Self) -> Self {
        let (timeout, retry) = (self.timeout.or(others.timeout), self.retry.or(others.retry));
        let (limit, coalesce) = (self.limit.or(others.limit), self.coalesce.or(others.coalesce));
        Self { timeout, retry, limit, coalesce, ..self }
    }

    /// Checks what can be checked before there is a store.
    pub(super) fn check(self) -> Result<Self> {
        if self.stale_if_error.is_some() && self.count_cache.is_none() {
            return Err(Error::invalid_input("stale_if_error", "needs count_cache"));
        }
        self.count_cache()?;
        if let Some(name) = &self.observe {
            rsvp_core::ObservedStore::new((), name)?;
        }
        Ok(self)
    }

    fn count_cache(&self) -> Result<Option<CountCacheConfig>> {
        let Some(age) = self.count_cache else { return Ok(None) };
        let config = CountCacheConfig::default().with_max_age(age)?;
        match self.stale_if_error {
            Some(age) => config.with_stale_if_error(age).map(Some),
            None => Ok(Some(config)),
        }
    }

    /// The store with the wrappers around it, in the order that `RsvpStoreExt` gives reasons for.
    pub(super) fn wrap(self, store: Arc<dyn RsvpStore>) -> Result<Arc<dyn RsvpStore>> {
        let count_cache = self.count_cache()?;
        let mut store = store;
        if let Some(name) = self.observe {
            store = Arc::new(store.observed(&name)?);
        }
        if let Some(config) = self.timeout {
            store = Arc::new(store.timed(config));
        }
        if let Some(config) = self.retry {
            store = Arc::new(store.retried(config));
        }
        if let Some(config) = self.limit {
            store = Arc::new(store.limited(config));
        }
        if self.coalesce == Some(true) {
            store = Arc::new(store.coalesced(CoalesceConfig::default()));
        }
        if let Some(config) = count_cache {
            store = Arc::new(store.count_cached(config));
        }
        Ok(store)
    }
}

/// Fills what a parameter fills.
pub(super) fn once<T>(field: &'static str, slot: &mut Option<T>, value: T) -> Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Error::invalid_input(field, "is given twice")),
    }
}
