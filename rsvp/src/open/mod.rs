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
/// | `sqlite:path/to/rsvp.db?…`, `sqlite:/path/to/rsvp.db?…` | `SqliteStore`, with the parameters of `SqliteConfig::from_url` | `sqlite` |
/// | `postgres://user:password@host:port/database?…` | `PostgresStore`, with the parameters of `PostgresConfig::from_url` | `postgres` |
/// | `redis://user:password@host:port/database?…`, `rediss://…` over TLS | `RedisStore` on one primary, with the parameters of `RedisConfig::from_url` | `redis`, and `tls` for TLS |
/// | `redis+cluster://user:password@host:port,host:port?…`, `rediss+cluster://…` over TLS | `RedisStore` on a Redis Cluster | `redis`, and `tls` for TLS |
/// | `redis+sentinel://host,host/name?…`, `rediss+sentinel://…` over TLS | `RedisStore` on the primary that sentinels name | `redis`, and `tls` for TLS |
///
/// White space at both ends of a URL is ignored. [`StoreUrl`](crate::url::StoreUrl) says which
/// characters must be percent-encoded. A [`Registry`] opens the URLs of other backends too.
///
/// # Layers
///
/// Every URL takes the parameters of layers beside those of its backend. The layers go around the
/// store in a fixed order, for which [`LayerExt`](crate::layers::LayerExt) gives the reasons.
///
/// | parameter | layer, from the inside out |
/// |---|---|
/// | `observe=NAME` | metrics and spans under this name |
/// | `timeout=1s` | a deadline for each attempt |
/// | `retry=2s` | retries of retryable errors, within this time |
/// | `limit=64` | a bound on the number of calls at once |
/// | `coalesce=true` | few large batches out of many small calls |
/// | `count_cache=5s` | counts from memory where they may be this old |
/// | `deadline=3s` | a deadline for every call with all its attempts |
///
/// [`Layers`](crate::layers::Layers) lists all settings of these layers. A caller who sets a
/// [deadline](crate::ReadOptions::with_timeout) of its own is held to the earlier one.
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
/// with `?` has the parameters of all shards:
///
/// | parameter | meaning |
/// |---|---|
/// | `spread=2` | the number of shards that each event lives on; defaults to 1 |
/// | `ready=half` | how many of the shards must accept writes for the store to be ready: `all`, `half` or `any`; defaults to `half` |
/// | `placement=accept` | makes the names, weights and spread those of all stores, to move the data |
/// | those of layers | |
///
/// ```text
/// eu1=postgres://db1/tickets eu2*2=postgres://db2/tickets ?spread=2&coalesce=true&count_cache=5s
/// ```
///
/// - Its `timeout`, `retry`, `limit` and `coalesce` go around each shard, so that a shard that is
///   down or slow leaves the others alone. The parameters of a shard's own URL take precedence.
/// - Its `observe`, `count_cache` and `deadline` go around all shards as one. This observer sees the
///   calls that the cache lets through, before they are coalesced.
///
/// At the first open each store keeps the name of its shard and the placement: all names, weights and
/// the spread. Each later open compares them and refuses other ones, because RSVPs would be looked
/// for where they are not. The order of the shards means nothing.
/// [`verify_placement`](crate::layers::ShardedStore::verify_placement) has the rules.
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
/// Then the errors of the backend, and of several stores those of
/// [`verify_placement`](crate::layers::ShardedStore::verify_placement). If one of several stores is
/// down, or its label cannot be read, none is opened, and the error names the shard. No error
/// repeats a part of the URL that may hold a password.
///
/// # Runtime
///
/// Backends that are servers, and layers that wait, need a Tokio runtime with timers, such as
/// `#[tokio::main]` makes. Tokio panics without one.
///
/// # Closing
///
/// Before its process ends a host closes the store. Calls from then on fail as
/// [`Error::Closed`](crate::Error::Closed), queued calls are finished, and connections are closed.
/// Writes whose callers have gone away may still be queued, so that closing waits for them too.
///
/// ```
/// use rsvp::{Error, RsvpStore};
///
/// # async fn example() -> rsvp::Result<()> {
/// let store = rsvp::open("memory:?coalesce=true").await?;
/// store.close().await?;
/// assert!(matches!(store.ready().await, Err(Error::Closed { .. })));
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(example())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Maintenance
///
/// A host reaches the audit and the repair of a backend through
/// [`RsvpStore::maintenance`](crate::RsvpStore::maintenance), whatever layers and shards are around
/// it. A backend that derives nothing has none.
///
/// ```
/// use rsvp::{Maintenance, Result, RsvpStore};
///
/// /// Compares every count and list with the RSVPs, and mends the store if one differs.
/// async fn nightly(store: &dyn RsvpStore) -> Result<()> {
///     let Some(maintenance) = store.maintenance() else { return Ok(()) };
///     let audit = maintenance.audit().await?;
///     println!("{} entries compared, {} differ", audit.checked, audit.findings.len());
///     if !audit.findings.is_empty() {
///         maintenance.repair().await?;
///     }
///     Ok(())
/// }
///
/// # async fn example() -> Result<()> {
/// let store = rsvp::open("memory:").await?;
/// nightly(&store).await?;
/// assert!(store.maintenance().is_none(), "memory derives nothing");
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(example())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn open(url: &str) -> Result<Arc<dyn RsvpStore>> {
    Registry::default().open(url).await
}
