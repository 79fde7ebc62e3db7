#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]
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
//! | `rsvp:l:{NAME}` | string | a label of the store |
//! | `rsvp:primary` | string | with several hosts or sentinels, the primary that stores have met last, see [below](#several-hosts-and-sentinels) |
//! | `rsvp:s:{USER}` | string | in a cluster, how far the removal of a user has got |
//! | `rsvp:layout` | string | the version of this layout, and the `event_spread` |
//! | `rsvp:w:{…}` | string | nothing, for a millisecond: with `wait_replicas` it follows each write, so that `WAIT` has something to wait for |
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
//! - after a process that died between the two;
//! - after a write that failed, until it is synced again: after twice the response timeout, when nothing
//!   of it can come any more, and for some minutes more while the servers cannot be reached;
//! - after a failover that lost acknowledged writes of one side.
//!
//! The store's [`Maintenance`](rsvp_core::Maintenance) finds the differences and mends them.
//!
//! A removal of a user is complete all the same. In a cluster it ends with a look at every event for
//! the user, since nothing else leads to an RSVP that the list has lost. That costs the names of all keys
//! of the cluster, other applications' included, and a `SISMEMBER` for each event, in steps of 4,000
//! keys. How far it has got is in `rsvp:s:{USER}` for up to a minute. Who removes many users a day can
//! [leave the look out](RedisConfig::with_sweep) and repair each night. The removal of an event may leave
//! an entry in the list of a user that the event's set lacks; a repair removes it.
//!
//! # Failed writes
//!
//! Each write of a batch has its own result. If a node fails, exactly the writes fail whose event or
//! whose user it owns. A write whose event was changed and whose user's list was not fails with
//! [`Effect::Unknown`](rsvp_core::Effect::Unknown): its RSVP holds or is cancelled as asked, and a
//! repetition completes the list. An entry that the server refuses, as when its key holds another
//! type, fails alone.
//!
//! When a write fails, its effect is settled. A server that runs may still hold a command without a
//! reply, so the store closes that connection and fences it: it sends `CLIENT KILL ID` on another
//! connection to the same process and waits for the reply. After it the command has been executed
//! or never will be. A deadline covers the fence. If the server cannot be reached by then, the
//! effect is [pending](rsvp_core::Effect::Pending), and the next write to that server goes behind
//! the fence, on whatever connection.
//!
//! - The time that a pending error tells is the time until which the network may still deliver the
//!   command: the response timeout after a lost connection, twice that after a silent one (on Linux,
//!   by the TCP user timeout). A server process that stands still for longer, as one that was
//!   stopped by a signal, has received the command and may execute it when it goes on. No write of
//!   this store can come before it then, but that of another process can.
//! - A primary that was replaced may execute the command when it comes back, and loses its effect
//!   when it becomes a replica. The promoted replica never sees it. A server that was restarted has
//!   lost it.
//! - Without the right to `CLIENT KILL`, only time settles the effect. It is pending for as long as
//!   above, and other writes to the same server wait until then.
//!
//! A write that ends at its deadline first sends `PING` on its own connection. A reply shows that the
//! server has executed all commands before it, so that no fence is needed and no other call is
//! disturbed. Without a reply in a quarter of the time left, the store closes the connection, which other
//! calls share. Those that have no reply yet fail with it and may be repeated. A read that ends at
//! its deadline disturbs nobody.
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
//! # Several hosts and sentinels
//!
//! Of several hosts the store uses the primary that was promoted last, and with `redis+sentinel://` it
//! asks the sentinels for the servers. It asks all hosts when it connects, and once a second while it
//! is used. A primary that was replaced, and that goes on or comes back before anybody has told it to
//! follow, is not used: the replication ids of the servers, the key `rsvp:primary`, the failovers of
//! the sentinels and what the store has met before tell which of two is the later one. Two primaries
//! that nothing tells apart are refused. A store that cannot reach the later one, and has never met it,
//! uses the earlier one.
//!
//! # Lists
//!
//! Listings scan keys with `SSCAN` and `HSCAN`. An entry that exists during the whole listing
//! appears at least once, also over restarts and failovers, where a listing begins its key again.
//! An entry may repeat when a set shrinks or is begun again meanwhile. In a cluster a scan of
//! everything, an audit and a repair go slot by slot. They go on when slots move, and miss nothing
//! while a slot is moving.
//!
//! # Large events in a cluster
//!
//! An event is one set, or `event_spread` sets. `MIGRATE` moves a set as a whole and stands still
//! meanwhile: one of 10 million members takes tens of seconds, longer than `cluster-node-timeout`, so
//! that the move becomes a failover. Give events of more than a million members an `event_spread`
//! that keeps each part below that, or do not move their slots.
//!
//! # The server
//!
//! Redis 6.2 or later, tested with 7.0, and Valkey 9.1. A user of an access control list needs
//! `+@read +@write +@transaction +@connection -@dangerous +info +wait +client|id +client|kill`,
//! in a cluster `+cluster|slots +cluster|nodes +cluster|countkeysinslot +cluster|getkeysinslot +asking`,
//! and the keys `~rsvp:*`. With `+config|get`, `open` can read the server's durability settings. The
//! order matters: `-@dangerous` takes `FLUSHALL` and its like away.
//!
//! What a user or a managed server refuses is done without, if it can be:
//!
//! | refused | what is not known |
//! |---|---|
//! | `CONFIG` | what a restart keeps: [`Durability::Unknown`] |
//! | `CLIENT ID`, `CLIENT KILL` | the effect of a write without a reply, before time settles it |
//! | `INFO` | whether the server was restarted in the middle of a listing, which may then miss entries; which of two primaries is the later one |
//! | `CLUSTER NODES` | which of two nodes is right about a slot; a scan asks every primary for every slot |
//! | `WAIT` | nothing, but `wait_replicas` is refused when the store is opened |
//!
//! `ROLE` is not used.
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
pub use self::config::{CredentialError, CredentialProvider, Credentials, RedisConfig};
pub use self::store::RedisStore;
