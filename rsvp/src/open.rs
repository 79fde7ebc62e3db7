//! Opening a store by its URL.

use std::fmt::Write;
use std::sync::Arc;

use rsvp_core::{Error, Result, RsvpStore};

/// A scheme that [`open`] knows, whether or not its backend is compiled in.
struct Scheme {
    name: &'static str,
    feature: &'static str,
    enabled: bool,
}

const SCHEMES: &[Scheme] = &[
    Scheme { name: "memory", feature: "memory", enabled: cfg!(feature = "memory") },
    Scheme { name: "postgres", feature: "postgres", enabled: cfg!(feature = "postgres") },
    Scheme { name: "redis", feature: "redis", enabled: cfg!(feature = "redis") },
    Scheme {
        name: "rediss",
        feature: "redis,tls",
        enabled: cfg!(all(feature = "redis", feature = "tls")),
    },
    Scheme { name: "redis+cluster", feature: "redis", enabled: cfg!(feature = "redis") },
    Scheme {
        name: "rediss+cluster",
        feature: "redis,tls",
        enabled: cfg!(all(feature = "redis", feature = "tls")),
    },
];

/// Opens the store that `url` names.
///
/// | URL | backend | cargo feature |
/// |---|---|---|
/// | `memory:` | `MemoryStore`, empty and this process's own | `memory` (default) |
/// | `postgres://user:password@host:port/database?…` | `PostgresStore`; the parameters are those of `PostgresConfig::from_url` | `postgres` |
/// | `redis://user:password@host:port/database?…`, `rediss://…` over TLS | `RedisStore` on one primary; the parameters are those of `RedisConfig::from_url` | `redis`, for TLS `tls` as well |
/// | `redis+cluster://user:password@host:port,host:port?…`, `rediss+cluster://…` over TLS | `RedisStore` on a Redis Cluster | `redis`, for TLS `tls` as well |
///
/// ```
/// use rsvp::{EventId, RsvpStoreExt, UserId};
///
/// # async fn example() -> rsvp::Result<()> {
/// let store = rsvp::open("memory:").await?;
/// store.rsvp(&UserId::from(1), &EventId::new("101a")?).await?;
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(example())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`Error::InvalidInput`] with the field `url` for a scheme that is unknown or whose cargo
/// feature is off, and for anything else that is wrong with the URL. The URL itself is never
/// repeated, since it may hold a password.
pub async fn open(url: &str) -> Result<Arc<dyn RsvpStore>> {
    let (scheme, rest) = url.split_once(':').unwrap_or_default();
    match scheme.to_ascii_lowercase().as_str() {
        #[cfg(feature = "memory")]
        "memory" => open_memory(rest),
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => open_postgres(url).await,
        #[cfg(feature = "redis")]
        "redis" | "rediss" | "redis+cluster" | "rediss+cluster" => open_redis(url).await,
        scheme => {
            let _ = rest;
            Err(no_backend(scheme))
        }
    }
}

#[cfg(feature = "memory")]
fn open_memory(rest: &str) -> Result<Arc<dyn RsvpStore>> {
    if rest.is_empty() {
        Ok(Arc::new(rsvp_memory::MemoryStore::new()))
    } else {
        Err(Error::invalid_input("url", "has something after memory:, which takes nothing more"))
    }
}

#[cfg(feature = "postgres")]
async fn open_postgres(url: &str) -> Result<Arc<dyn RsvpStore>> {
    let config = rsvp_postgres::PostgresConfig::from_url(url)?;
    Ok(Arc::new(rsvp_postgres::PostgresStore::open(config).await?))
}

#[cfg(feature = "redis")]
async fn open_redis(url: &str) -> Result<Arc<dyn RsvpStore>> {
    let config = rsvp_redis::RedisConfig::from_url(url)?;
    Ok(Arc::new(rsvp_redis::RedisStore::open(config).await?))
}

/// Why no backend of this build takes the scheme.
fn no_backend(scheme: &str) -> Error {
    let mut reason = match SCHEMES.iter().find(|known| known.name == scheme) {
        Some(Scheme { name, feature, .. }) => {
            format!("needs the cargo feature `{feature}` of the crate rsvp for {name}:")
        }
        None => "has no scheme that is known".to_owned(),
    };
    reason.push_str("; known are");
    for (at, Scheme { name, feature, enabled }) in SCHEMES.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let off = if *enabled { "" } else { ", which is off" };
        // Writing to a string cannot fail.
        let _ = write!(reason, "{comma} {name}: (feature `{feature}`{off})");
    }
    Error::invalid_input("url", reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refused(url: &str) -> String {
        open(url).await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn an_unknown_scheme_lists_the_known_ones_and_never_repeats_the_url() {
        for url in ["", "secret", "secret:hunter2", "mysql://secret:hunter2@host/db", "::", "é:"] {
            let message = refused(url).await;
            assert!(
                message.starts_with(
                    "invalid url: has no scheme that is known; known are memory: (feature `memory`"
                ),
                "{message}"
            );
            assert!(!message.contains("secret") && !message.contains("hunter2"), "{message}");
        }
    }

    #[cfg(not(feature = "memory"))]
    #[tokio::test]
    async fn a_scheme_without_its_feature_names_the_feature() {
        let message = refused("memory:").await;
        assert!(message.contains("needs the cargo feature `memory`"), "{message}");
        assert!(message.contains("which is off"), "{message}");
    }

    #[cfg(feature = "postgres")]
    #[tokio::test]
    async fn a_wrong_postgres_url_is_refused_without_being_repeated() {
        for url in ["postgres:hunter2", "postgres://u:hunter2@h:x/d", "postgres://h/d?hunter2=1"] {
            let message = refused(url).await;
            assert!(message.starts_with("invalid url: "), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }

    #[cfg(feature = "redis")]
    #[tokio::test]
    async fn a_wrong_redis_url_is_refused_without_being_repeated() {
        for url in ["redis:hunter2", "redis://:hunter2@h:x", "redis+cluster://h?hunter2=1"] {
            let message = refused(url).await;
            assert!(message.starts_with("invalid url: "), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }

    #[cfg(feature = "memory")]
    #[tokio::test]
    async fn memory_opens_and_takes_nothing_more() {
        for url in ["memory:", "MEMORY:"] {
            open(url).await.unwrap().ready().await.unwrap();
        }
        for url in ["memory://", "memory:?secret=hunter2", "memory:secret"] {
            let message = refused(url).await;
            assert!(!message.contains("secret"), "{message}");
        }
    }
}
