//! The backends of URL schemes.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rsvp_core::url::StoreUrl;
use rsvp_core::{Result, RsvpStore};

/// The backend of a scheme.
#[derive(Clone)]
pub(super) enum Scheme {
    Enabled(Arc<Prepare>),
    /// The backend is not compiled in, because this cargo feature is off.
    Disabled(&'static str),
}

/// Checks a URL. Does not connect yet.
pub(super) type Prepare = dyn Fn(StoreUrl) -> Result<Opening> + Send + Sync;

/// Connects to a store with a checked URL.
pub(super) type Opening = BoxFuture<'static, Result<Arc<dyn RsvpStore>>>;

impl Scheme {
    /// Makes a backend. `prepare` checks the URL and returns the future that connects.
    pub(super) fn new<F, S>(prepare: impl Fn(StoreUrl) -> Result<F> + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<S>> + Send + 'static,
        S: RsvpStore + 'static,
    {
        let prepare = move |url| {
            let opening = prepare(url)?;
            Ok(async { Ok(Arc::new(opening.await?) as Arc<dyn RsvpStore>) }.boxed())
        };
        Self::Enabled(Arc::new(prepare))
    }
}

/// Returns every scheme of this crate, even if its backend is not compiled in.
pub(super) fn known() -> [(&'static str, Scheme); 10] {
    let scheme = |backend: Option<Scheme>, feature| backend.unwrap_or(Scheme::Disabled(feature));
    [
        ("memory", scheme(memory(), "memory")),
        ("postgres", scheme(postgres(), "postgres")),
        ("postgresql", scheme(postgres(), "postgres")),
        ("redis", scheme(redis(), "redis")),
        ("redis+cluster", scheme(redis(), "redis")),
        ("redis+sentinel", scheme(redis(), "redis")),
        ("rediss", scheme(redis().filter(|_| cfg!(feature = "tls")), "redis,tls")),
        ("rediss+cluster", scheme(redis().filter(|_| cfg!(feature = "tls")), "redis,tls")),
        ("rediss+sentinel", scheme(redis().filter(|_| cfg!(feature = "tls")), "redis,tls")),
        ("sqlite", scheme(sqlite(), "sqlite")),
    ]
}

#[cfg(feature = "memory")]
fn memory() -> Option<Scheme> {
    Some(Scheme::new(|mut url| {
        if !url.hosts().is_empty() || !url.path().is_empty() {
            let reason = "`memory:` takes no host and no path";
            return Err(rsvp_core::Error::invalid_input("url", reason));
        }
        url.parameters_mut().finish()?;
        Ok(async { Ok(rsvp_memory::MemoryStore::new()) })
    }))
}

#[cfg(feature = "postgres")]
fn postgres() -> Option<Scheme> {
    Some(Scheme::new(|url| {
        let config = rsvp_postgres::PostgresConfig::from_store_url(url)?;
        Ok(rsvp_postgres::PostgresStore::open(config))
    }))
}

#[cfg(feature = "redis")]
fn redis() -> Option<Scheme> {
    Some(Scheme::new(|url| {
        let config = rsvp_redis::RedisConfig::from_store_url(url)?;
        Ok(rsvp_redis::RedisStore::open(config))
    }))
}

#[cfg(feature = "sqlite")]
fn sqlite() -> Option<Scheme> {
    Some(Scheme::new(|url| {
        let config = rsvp_sqlite::SqliteConfig::from_store_url(url)?;
        Ok(rsvp_sqlite::SqliteStore::open(config))
    }))
}

#[cfg(not(feature = "memory"))]
fn memory() -> Option<Scheme> {
    None
}

#[cfg(not(feature = "postgres"))]
fn postgres() -> Option<Scheme> {
    None
}

#[cfg(not(feature = "redis"))]
fn redis() -> Option<Scheme> {
    None
}

#[cfg(not(feature = "sqlite"))]
fn sqlite() -> Option<Scheme> {
    None
}
