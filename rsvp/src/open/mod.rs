//! Opening a store by its URL, or several stores by theirs.

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
/// | `redis+sentinel://host,host/name?…`, `rediss+sentinel://…` over TLS | `RedisStore` on the primary named by sentinels | `redis`, and `tls` for TLS |
///
/// White space at both ends of a URL is ignored.
/// [`StoreUrl`](crate::url::StoreUrl) lists the characters that must be percent-encoded.
/// A [`Registry`] opens the URLs of other backends too.
///
/// # Layers
///
/// Every URL takes the parameters of layers beside those of its backend.
/// The layers go around the store in a fixed order.
/// [`LayerExt`](crate::layers::LayerExt) gives the reasons for it.
///
/// | parameter | layer, from the inside out |
/// |---|---|
/// | `observe=NAME` | metrics and spans under this name |
/// | `timeout=1s` | a deadline for each attempt |
/// | `retry=2s` | retries of retryable errors, within this time |
/// | `limit=64` | a bound on the number of concurrent calls |
/// | `coalesce=true` | few large batches instead of many small calls |
/// | `count_cache=5s` | counts from memory, up to this age, for callers that accept it |
/// | `deadline=3s` | a deadline for every call with all its attempts |
///
/// [`Layers`](crate::layers::Layers) lists all settings of these layers.
/// A caller may set a [deadline](crate::ReadOptions::with_timeout) of its own.
/// The earlier one applies.
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
/// Several URLs with names, separated by white space,
/// are the shards of one [`ShardedStore`](crate::layers::ShardedStore).
/// A weight may follow the name. A part that begins with `?` has the parameters of all shards:
///
/// | parameter | meaning |
/// |---|---|
/// | `spread=2` | the number of shards of each event. Defaults to 1 |
/// | `ready=half` | the part of the shards that must accept writes for the store to be ready: `all`, `half` or `any`. Defaults to `half` |
/// | `placement=accept` | stores these names, weights and this spread in all shards, to move the data |
/// | parameters of layers | as above |
///
/// ```text
/// eu1=postgres://db1/tickets eu2*2=postgres://db2/tickets ?spread=2&coalesce=true&count_cache=5s
/// ```
///
/// - Its `timeout`, `retry`, `limit` and `coalesce` go around each shard,
///   so a slow or failed shard does not affect the others.
///   The parameters of a shard's own URL take precedence.
/// - Its `observe`, `count_cache` and `deadline` go around all shards as one.
///   This observer is inside of the cache.
///   It sees the calls that the cache passes on, before they are coalesced.
///
/// At the first open each store keeps the name of its shard and the placement: all names,
/// weights and the spread. Each later open compares them and refuses different ones,
/// because the store would look for RSVPs on the wrong shards.
/// The order of the shards has no effect.
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
/// [`Error::InvalidInput`](crate::Error::InvalidInput), before any connection:
///
/// - with the field `url` for a malformed URL, an unknown parameter, an unknown scheme,
///   or a scheme with a disabled cargo feature. The error lists the supported ones.
/// - with the name of a parameter that is malformed, out of range or specified more than once.
/// - with the field `shard`, `weight` or `spread`,
///   as [`Placement::new`](crate::layers::Placement::new).
///
/// After that, the errors of the backend. Several stores also have the errors of
/// [`verify_placement`](crate::layers::ShardedStore::verify_placement).
/// If one of several stores is down, or its label cannot be read, none is opened,
/// and the error names the shard. No error repeats a part of the URL that may hold a password.
///
/// # Runtime
///
/// Backends with servers, and layers that wait, need a Tokio runtime with timers,
/// such as `#[tokio::main]` makes. Tokio panics without one.
///
/// # Closing
///
/// A host closes the store before its process ends.
/// Later calls fail with [`Error::Closed`](crate::Error::Closed), queued calls are finished,
/// and connections are closed. A write may still be queued after its caller has gone away.
/// Closing waits for such writes, too.
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
/// [`RsvpStore::maintenance`](crate::RsvpStore::maintenance), through all layers and shards.
/// A backend without derived data has no maintenance.
///
/// ```
/// use rsvp::{Maintenance, Result, RsvpStore};
///
/// /// Compares every count and list with the RSVPs, and repairs the store if one differs.
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
