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
//! | key | type | holds |
//! |---|---|---|
//! | `rsvp:e:{PART:EVENT}` | set | the users of a part of an event: **the truth** |
//! | `rsvp:u:{USER}` | hash | the events of a user, as fields with empty values: derived |
//! | `rsvp:layout` | string | the version of this layout, and the `event_spread` |
//!
//! `rsvp` is the configured prefix. `PART` is 0 unless `event_spread` is more than 1; a user is in
//! the part that is the slot of their id (`CLUSTER KEYSLOT`: CRC16 modulo 16384) modulo the
//! spread. In ids `%` is written `%25` and `}` is written `%7D`, so that an id cannot end the hash
//! tag it stands in. Everything can be read
//! with `redis-cli`:
//!
//! ```text
//! SMEMBERS  rsvp:e:{0:101a}        who is coming to 101a
//! SCARD     rsvp:e:{0:101a}        how many
//! SISMEMBER rsvp:e:{0:101a} alice  is alice?
//! HKEYS     rsvp:u:{alice}         what alice is coming to
//! ```
//!
//! A user's events are a hash because one of up to `hash-max-listpack-entries` fields takes a third
//! of the memory that a set takes in Redis 7.0.
//!
//! On one server both directions change in one transaction. In a cluster they are in different
//! slots: the event's set changes first and decides the outcome, then the user's hash follows, and
//! is compared with the set again until both agree. A user's hash may differ from the truth
//!
//! - after a process that died between the two, or a call that failed with unknown effect and was
//!   not repeated;
//! - after a fail-over that lost acknowledged writes of one side;
//! - after a network that delivered a command of a failed call when its repetition was over.
//!
//! [`RedisStore::reconcile`] mends it, and until then a removal may miss what it cannot see: an
//! RSVP that its user's hash lacks, or an entry that its event's set lacks. Where a removal must be
//! complete, as when a user asks for deletion, reconcile first if any of these has happened.
//!
//! # What an acknowledged write survives
//!
//! | server | `kill -9` | loss of power | loss of the primary |
//! |---|---|---|---|
//! | keeps nothing (`save ""`, `appendonly no`) | no | no | no |
//! | snapshots (`save 3600 1`) | what is older than the last snapshot | the same | no |
//! | `appendonly yes`, `appendfsync everysec` | all but up to 2 s when the disk is slow, usually all | all but the last second or two | no |
//! | `appendonly yes`, `appendfsync always` | yes | yes | no |
//! | a replica, promoted when the primary is lost | | | what it had received: usually all but some milliseconds |
//! | the same and [`wait_replicas`](RedisConfig::with_wait_replicas) | | | yes, if the promoted replica is one of those that were waited for |
//!
//! Replication is asynchronous, and `WAIT` is not consensus: a primary that is cut off goes on
//! taking writes until `cluster-node-timeout` (or for as long as `min-replicas-to-write` lets it),
//! which are lost when it comes back as a replica. A primary that keeps nothing and is restarted
//! before a replica is promoted empties its replicas too. `no-appendfsync-on-rewrite yes` makes
//! `always` as good as `everysec`, and `appendfsync no` leaves it to the system, which may take
//! half a minute. Who cannot have that uses `rsvp-postgres`. A `maxmemory-policy` other than
//! `noeviction` deletes RSVPs when memory is short. [`RedisStore::open`] logs a warning (crate
//! `tracing`) when a server keeps nothing or may evict.
//!
//! # Consistency
//!
//! Every read is from a primary and strong, as far as the engine allows: a primary that was
//! demoted is left at the latest after 100 ms, and one that is cut off answers until it notices.
//!
//! # Lists
//!
//! Listings walk sets with `SSCAN`. What is there throughout appears at least once, also over
//! restarts and fail-overs, where a listing begins its set again; an entry may repeat when a set
//! shrinks or is begun again meanwhile. A scan of everything, and `reconcile`, begin again when
//! slots have moved to another node, so they end only when resharding has; keys of a slot that is
//! being moved at the time may be missed.
//!
//! # The server
//!
//! Redis 6.2 or later, tested with 7.0. A user of an access control list needs
//! `+@read +@write +@transaction +@connection -@dangerous +info +role +wait`, in a cluster
//! `+cluster|slots +asking`, and the keys `~rsvp:*`; `+config|get` lets `open` see what the server
//! keeps. The order matters: `-@dangerous` takes `FLUSHALL` and its like away. Managed services
//! that hide `CONFIG` are fine.
//!
//! With the feature `tls` the store uses the process' default provider of `rustls`, and installs
//! `ring` as that if there is none when it first connects: a host that installs its own does so
//! before.

mod admin;
mod config;
mod data;
mod store;
mod wire;

pub use self::admin::audit::{AuditReport, AuditStep};
pub use self::admin::durability::Durability;
pub use self::config::RedisConfig;
pub use self::store::RedisStore;
