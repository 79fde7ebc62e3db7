//! The RSVP store on Redis and Redis Cluster.
//!
//! ```no_run
//! use rsvp_core::{EventId, RsvpStoreExt, UserId};
//! use rsvp_redis::{RedisConfig, RedisStore};
//!
//! # async fn example() -> rsvp_core::Result<()> {
//! let config = RedisConfig::from_url("redis+cluster://app:secret@redis1,redis2")?;
//! let store = RedisStore::open(config).await?;
//! store.rsvp(&UserId::from(1), &EventId::new("101a")?).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Layout
//!
//! | key | type | value |
//! |---|---|---|
//! | `rsvp:e:{PART:EVENT}` | set | the users of a part of an event: **the truth** |
//! | `rsvp:u:{USER}` | hash | the events of a user, as fields with empty values: the user index |
//! | `rsvp:layout` | string | the version of this layout, and the `event_spread` |
//!
//! `rsvp` is the configured prefix. `PART` is 0 unless `event_spread` is more than 1. The part of a
//! user is the slot of the user's id (`CLUSTER KEYSLOT`: CRC16 modulo 16384) modulo the spread. In
//! ids `%` is written `%25` and `}` is written `%7D`, so that an id cannot end its hash tag. All
//! data can be read with `redis-cli`:
//!
//! ```text
//! SMEMBERS  rsvp:e:{0:101a}        the attendees of 101a
//! SCARD     rsvp:e:{0:101a}        their number
//! SISMEMBER rsvp:e:{0:101a} alice  whether alice is one of them
//! HKEYS     rsvp:u:{alice}         the events of alice
//! ```
//!
//! The user index is made of hashes because a hash of up to `hash-max-listpack-entries` fields takes
//! a third of the memory that a set takes in Redis 7.0.
//!
//! On one server a write changes the event's set and the user index in one transaction. In a
//! cluster they are in different slots. The event's set changes first and decides the outcome.
//! Then the user index is synced: it is written, and compared with the set until both agree. The
//! index may differ from the truth
//!
//! - after a process that died between the two, or a call that failed with unknown effect and was
//!   not repeated;
//! - after a failover that lost acknowledged writes of one side;
//! - after a network that delivered a command of a failed call when its repetition was over.
//!
//! [`RedisStore::audit`] counts the differences, and [`RedisStore::repair`] mends them. Until then a
//! removal may miss an RSVP that the user index lacks, or an entry that its event's set lacks.
//! Where a removal must be complete, as when a user asks for deletion, repair first if any of these
//! has happened.
//!
//! # Durability
//!
//! Whether an acknowledged write survives depends on the server:
//!
//! | server | `kill -9` | loss of power | loss of the primary |
//! |---|---|---|---|
//! | keeps nothing (`save ""`, `appendonly no`) | no | no | no |
//! | snapshots (`save 3600 1`) | if it is older than the last snapshot | the same | no |
//! | `appendonly yes`, `appendfsync everysec` | all but up to 2 s when the disk is slow, usually all | all but the last second or two | no |
//! | `appendonly yes`, `appendfsync always` | yes | yes | no |
//! | a replica, promoted when the primary is lost | | | if the replica had received it: usually all but some milliseconds |
//! | the same and [`wait_replicas`](RedisConfig::with_wait_replicas) | | | yes, if the promoted replica is one of those that were waited for |
//!
//! Replication is asynchronous, and `WAIT` is not consensus. A primary that is cut off accepts
//! writes until `cluster-node-timeout` (or for as long as `min-replicas-to-write` lets it). They
//! are lost when it comes back as a replica. A primary that keeps nothing and is restarted before a
//! replica is promoted empties its replicas too. `no-appendfsync-on-rewrite yes` makes `always` as
//! weak as `everysec`, and `appendfsync no` leaves syncing to the system, which may take half a
//! minute. If the last row's condition is not acceptable, use `rsvp-postgres`. A `maxmemory-policy`
//! other than `noeviction` deletes RSVPs when memory is short. [`RedisStore::open`] logs a warning
//! (crate `tracing`) when a server keeps nothing or may evict.
//!
//! # Consistency
//!
//! Every read goes to a primary and is strong as far as the engine allows. The store leaves a
//! demoted primary after 100 ms at the latest. A primary that is cut off answers until it notices.
//!
//! # Lists
//!
//! Listings scan keys with `SSCAN` and `HSCAN`. An entry that exists during the whole listing
//! appears at least once, also over restarts and failovers, where a listing begins its key again.
//! An entry may repeat when a set shrinks or is begun again meanwhile. A scan of everything, an
//! audit and a repair begin again when slots have moved to another node, so they end only when
//! resharding has ended. They may miss keys of a slot that is migrating at the time.
//!
//! # The server
//!
//! Redis 6.2 or later, tested with 7.0. A user of an access control list needs
//! `+@read +@write +@transaction +@connection -@dangerous +info +role +wait`, in a cluster
//! `+cluster|slots +asking`, and the keys `~rsvp:*`. With `+config|get`, `open` can read the
//! server's durability settings. The order matters: `-@dangerous` takes `FLUSHALL` and its like
//! away. Managed services that hide `CONFIG` are fine.
//!
//! With the feature `tls` the store uses the default provider of `rustls` of the process. If there
//! is none when it first connects, it installs `ring`. A host that prefers another provider
//! installs it before.

mod admin;
mod config;
mod data;
mod store;
mod wire;

pub use self::admin::durability::Durability;
pub use self::config::RedisConfig;
pub use self::store::RedisStore;
