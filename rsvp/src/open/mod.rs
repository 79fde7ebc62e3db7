//! Opening a store by its URL, or many by theirs.

mod registry;
mod scheme;
mod shards;

use std::sync::Arc;

use rsvp_core::{Result, RsvpStore};

pub use self::registry::Registry;

/// Opens a store by its URL, or several stores as one.
///
/// | URL | backend | cargo feature |
/// |---|---|---|
/// | `memory:` | `MemoryStore`, new and empty | `memory` (default) |
/// | `postgres://user:password@host:port/database?…` | `PostgresStore`, with the parameters of `PostgresConfig::from_url` | `postgres` |
/// | `redis://user:password@host:port/database?…`, `rediss://…` over TLS | `RedisStore` on one primary, with the parameters of `RedisConfig::from_url` | `redis`, and `tls` for TLS |
/// | `redis+cluster://user:password@host:port,host:port?…`, `rediss+cluster://…` over TLS | `RedisStore` on a Redis Cluster | `redis`, and `tls` for TLS |
///
/// White space at both ends of a URL is ignored. [`StoreUrl`](crate::url::StoreUrl) says which
/// characters must be percent-encoded. A [`Registry`] opens the URLs of other backends too.
///
/// # Layers
///
/// Every URL takes the parameters of layers beside those of its backend, such as `timeout=2s`,
/// `retry=2s`, `coalesce=true`, `count_cache=5s` and `observe=NAME`.
/// [`Layers`](crate::layers::Layers) lists all of them. The layers go around the store in a fixed
/// order, for which [`LayerExt`](crate::layers::LayerExt) gives the reasons.
///
/// ```
/// use rsvp::{EventId, RsvpStoreExt, UserId};
///
/// # async fn example() -> rsvp::Result<()> {
/// let store = rsvp::open("memory:?coalesce=true&count_cache=5s").await?;
/// store.rsvp(&UserId::from(1), &EventId::new("101a")?).await?;
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(example())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Several stores as one
///
/// Several URLs with names, separated by white space, are the shards of one
/// [`ShardedStore`](crate::layers::ShardedStore). A weight may follow the name. A part that begins
/// with `?` has the parameters of all shards, including `spread`, which defaults to 1.
///
/// ```text
/// eu1=postgres://db1/tickets eu2*2=postgres://db2/tickets ?spread=2&coalesce=true&count_cache=5s
/// ```
///
/// - Its `timeout`, `retry`, `limit` and `coalesce` go around each shard, so that a shard that is
///   down or slow leaves the others alone. The parameters of a shard's own URL take precedence.
/// - Its `observe` and `count_cache` go around all shards as one. This observer sees the calls that
///   the cache lets through, before they are coalesced.
///
/// ```
/// use rsvp::{EventId, RsvpStoreExt, UserId};
///
/// # async fn example() -> rsvp::Result<()> {
/// let shards = rsvp::open("a=memory: b*2=memory: ?spread=2&retry=1s").await?;
/// shards.rsvp(&UserId::from(1), &EventId::new("101a")?).await?;
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(example())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`Error::InvalidInput`](crate::Error::InvalidInput), before anything is connected:
/// - with the field `url` for a malformed URL, for an unknown parameter, and for a scheme that is
///   unknown or whose cargo feature is off. The error lists the supported ones.
/// - with the name of a parameter that is malformed, out of range or specified more than once.
/// - with the field `shard`, `weight` or `spread`, as
///   [`Placement::new`](crate::layers::Placement::new).
///
/// Then the errors of the backend. Of several stores the error names the shard. No error repeats a
/// part of the URL that may hold a password.
///
/// # Runtime
///
/// Backends that are servers, and layers that wait, need a Tokio runtime with timers, such as
/// `#[tokio::main]` makes. Tokio panics without one.
///
/// Before a process ends it should wait for its writes. Those whose callers have gone away may
/// still be queued, so run such calls in tasks of their own and wait for these tasks, as the service
/// in `examples/http_api` does. A host that builds its
/// [`CoalescedStore`](crate::layers::CoalescedStore) itself can also
/// [close](crate::layers::CoalescedStore::close) it.
pub async fn open(url: &str) -> Result<Arc<dyn RsvpStore>> {
    Registry::default().open(url).await
}
