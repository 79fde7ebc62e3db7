//! Opening a store by its URL, or many by theirs.

mod layers;
mod shards;

use std::fmt::Write;
use std::sync::Arc;

use futures_util::future::try_join_all;
use rsvp_core::{Error, Result, RsvpStore, Shard, ShardedStore};

use self::layers::Layers;
use self::shards::{NamedUrl, Shards};

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

/// Opens the store that `url` names, or the stores that it names as one.
///
/// | URL | backend | cargo feature |
/// |---|---|---|
/// | `memory:` | `MemoryStore`, empty and this process's own | `memory` (default) |
/// | `postgres://user:password@host:port/database?…` | `PostgresStore`; the parameters are those of `PostgresConfig::from_url` | `postgres` |
/// | `redis://user:password@host:port/database?…`, `rediss://…` over TLS | `RedisStore` on one primary; the parameters are those of `RedisConfig::from_url` | `redis`, for TLS `tls` as well |
/// | `redis+cluster://user:password@host:port,host:port?…`, `rediss+cluster://…` over TLS | `RedisStore` on a Redis Cluster | `redis`, for TLS `tls` as well |
///
/// Every URL may have parameters for wrappers, beside those of its backend. They go around it in
/// this order, whatever order they are given in; [`RsvpStoreExt`](rsvp_core::RsvpStoreExt) says
/// why.
///
/// | parameter | wrapper |
/// |---|---|
/// | `observe=NAME` | `ObservedStore`: metrics and spans of what the backend itself is asked |
/// | `timeout=2s` | `TimeoutStore`, around each try |
/// | `retry=2s` | `RetryStore`, with this budget of time |
/// | `limit=64` | `LimitStore`, with so many calls at once |
/// | `coalesce=true` | `CoalescedStore` |
/// | `count_cache=5s` | `CountCache`, with this greatest age |
/// | `stale_if_error=600s` | the same, while the store is down |
///
/// # Many stores as one
///
/// Several URLs with names, parted by spaces, are the shards of a [`ShardedStore`]; a name may have
/// a weight. A part that begins with `?` has the parameters of all of them, with `spread` (1 unless
/// given) among them. Its `timeout`, `retry`, `limit` and `coalesce` go around each shard that does
/// not say otherwise, so that a shard that is down or slow leaves the others alone. Its `observe`
/// and `count_cache` go around all of them as one: that observer sees what the cache lets through,
/// before it is coalesced.
///
/// ```text
/// eu1=postgres://db1/tickets eu2*2=postgres://db2/tickets ?spread=2&coalesce=true&count_cache=5s
/// ```
///
/// ```
/// use rsvp::{EventId, RsvpStoreExt, UserId};
///
/// # async fn example() -> rsvp::Result<()> {
/// let store = rsvp::open("memory:?coalesce=true&count_cache=5s").await?;
/// store.rsvp(&UserId::from(1), &EventId::new("101a")?).await?;
///
/// let shards = rsvp::open("a=memory: b=memory: ?spread=2&retry=1s").await?;
/// shards.rsvp(&UserId::from(1), &EventId::new("101a")?).await?;
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(example())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`Error::InvalidInput`] with the field `url` for a scheme that is unknown or whose cargo
/// feature is off, with that of the parameter which is wrong, and for anything else that is wrong
/// with the URL. The URL itself is never repeated, since it may hold a password. Of several stores
/// the error names the one that it is from.
///
/// # Runtime
///
/// Backends that are servers, and wrappers that wait, need a Tokio runtime with timers, such as
/// `#[tokio::main]` makes; Tokio panics without. To end a process without losing queued writes whose callers have gone, let those calls
/// run in tasks of their own and wait for these, as the service in `examples/http_api` does; a host
/// that builds its [`CoalescedStore`](rsvp_core::CoalescedStore) itself can also
/// [close](rsvp_core::CoalescedStore::close) it.
pub async fn open(url: &str) -> Result<Arc<dyn RsvpStore>> {
    let Some(Shards { shards, spread, each, layers }) = Shards::parse(url)? else {
        return open_one(url, &Layers::default()).await;
    };
    let shards = shards.into_iter().map(|shard| open_shard(shard, &each));
    let shards = try_join_all(shards).await?;
    layers.wrap(Arc::new(ShardedStore::new(shards, spread)?))
}

async fn open_shard(
    NamedUrl { name, weight, url }: NamedUrl<'_>,
    layers: &Layers,
) -> Result<Shard<Arc<dyn RsvpStore>>> {
    let store = open_one(url, layers).await.map_err(|error| error.in_shard(name))?;
    Ok(Shard::new(name, store).with_weight(weight))
}

async fn open_one(url: &str, others: &Layers) -> Result<Arc<dyn RsvpStore>> {
    let (url, layers) = Layers::split(url)?;
    let layers = layers.check()?.or(others);
    layers.wrap(open_backend(&url).await?)
}

async fn open_backend(url: &str) -> Result<Arc<dyn RsvpStore>> {
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
        for url in ["memory:", "MEMORY:", "memory:?"] {
            open(url).await.unwrap().ready().await.unwrap();
        }
        for url in ["memory://", "memory:?secret=hunter2", "memory:secret"] {
            let message = refused(url).await;
            assert!(!message.contains("secret"), "{message}");
        }
    }

    #[cfg(feature = "memory")]
    #[tokio::test]
    async fn wrappers_go_around_in_their_order_however_they_are_given() {
        let all = "memory:?count_cache=5s&observe=db&coalesce=true&limit=64&retry=1s&timeout=2s\
                   &stale_if_error=60s";
        let shown = format!("{:?}", open(all).await.unwrap());
        let order = ["CountCache", "Coalesced", "Limit", "Retry", "Timeout", "Observed", "Memory"];
        let places: Vec<_> = order.iter().map(|name| shown.find(name).expect(name)).collect();
        assert!(places.is_sorted(), "{shown}");
        let none = format!("{:?}", open("memory:?coalesce=false").await.unwrap());
        assert!(none.starts_with("MemoryStore"), "{none}");
    }

    #[cfg(feature = "memory")]
    #[tokio::test]
    async fn several_names_are_shards() {
        let text = "a=memory: b*2.5=memory:?observe=b\n\t?spread=2&coalesce=true&count_cache=1s";
        let shown = format!("{:?}", open(text).await.unwrap());
        assert!(shown.starts_with("CountCache { store: ShardedStore"), "{shown}");
        assert!(shown.contains("\"a\": (1.0, CoalescedStore { store: MemoryStore"), "{shown}");
        assert!(shown.contains("\"b\": (2.5, CoalescedStore { store: ObservedStore"), "{shown}");
        assert!(shown.contains("spread: 2"), "{shown}");
        let other = "a=memory:?coalesce=false b=memory:?retry=1s ?coalesce=true&retry=2s";
        let shown = format!("{:?}", open(other).await.unwrap());
        assert!(
            shown.contains("\"a\": (1.0, RetryStore") && shown.contains("budget: 1s"),
            "{shown}"
        );
        let limited = "a=memory: b=memory:?limit=7 ?coalesce=true&limit=64&observe=all";
        let shown = format!("{:?}", open(limited).await.unwrap());
        assert!(shown.starts_with("ObservedStore { store: ShardedStore"), "{shown}");
        let each = "(1.0, CoalescedStore { store: LimitStore";
        assert_eq!(shown.matches(each).count(), 2, "batches are limited, not callers: {shown}");
        let one = format!("{:?}", open("only=memory:").await.unwrap());
        assert!(one.starts_with("ShardedStore"), "{one}");
    }

    #[cfg(feature = "memory")]
    #[tokio::test]
    async fn of_several_stores_the_one_that_does_not_open_is_named() {
        let message = refused("eu1=memory: eu2=hunter2: eu3=memory:").await;
        assert!(message.ends_with("(shard \"eu2\")") && !message.contains("hunter2"), "{message}");
    }

    #[cfg(feature = "memory")]
    #[tokio::test]
    async fn what_is_wrong_with_wrappers_and_shards_is_named() {
        for (url, field) in [
            ("memory:?coalesce=hunter2", "coalesce"),
            ("memory:?count_cache=5", "count_cache"),
            ("memory:?count_cache=0s", "count_cache"),
            ("memory:?count_cache=5s&count_cache=6s", "count_cache"),
            ("memory:?stale_if_error=5s", "stale_if_error"),
            ("memory:?retry=hunter2", "retry"),
            ("memory:?timeout=0ms", "timeout"),
            ("memory:?limit=0", "limit"),
            ("memory:?limit=hunter2", "limit"),
            ("memory:?observe=hunter 2", "url"),
            ("memory:?observe=hunter%202", "observe"),
            ("memory:?spread=2", "url"),
            ("a=memory: memory:", "url"),
            ("a=memory: b=hunter2:", "url"),
            ("a=memory: a=memory:", "shard"),
            ("a*hunter2=memory: b=memory:", "weight"),
            ("a*0=memory: b=memory:", "weight"),
            ("a=memory: ?spread=0", "spread"),
            ("a=memory: ?spread=hunter2", "spread"),
            ("a=memory: ?spread=2&spread=2", "spread"),
            ("a=memory: ?spread=2 ?spread=hunter2", "spread"),
            ("a=memory: ?schema=hunter2", "url"),
            ("?spread=2 ?coalesce=true", "shard"),
            ("u:hunter2@h=memory: b=memory:", "url"),
        ] {
            let message = refused(url).await;
            assert!(message.starts_with(&format!("invalid {field}: ")), "{url}: {message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
