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
//! | `rsvp:e:{PART:EVENT}` | set | **the truth**, the users of a part of an event |
//! | `rsvp:u:{USER}` | hash | the user index, a user's events as fields with empty values |
//! | `rsvp:l:{NAME}` | string | a label of the store |
//! | `rsvp:primary` | string | with several hosts or sentinels, the latest primary known to the stores, see [below](#several-hosts-and-sentinels) |
//! | `rsvp:s:{USER}` | string | in a cluster, the progress of the removal of a user |
//! | `rsvp:layout` | string | the version of this layout, and the `event_spread` |
//! | `rsvp:w:{…}` | string | empty, for a millisecond. With `wait_replicas` it follows each write, so `WAIT` has a change to wait for |
//!
//! `rsvp` is the configured prefix. `PART` is 0 unless `event_spread` is more than 1. The part of a
//! user is the slot of the user's id modulo the spread. The slot is `CLUSTER KEYSLOT`, which is
//! CRC16 modulo 16384. In ids `%` is written `%25` and `}` is written `%7D`, because a `}` would
//! end the hash tag. All data can be read with `redis-cli`:
//!
//! ```text
//! SMEMBERS  rsvp:e:{0:101a}        the attendees of 101a
//! SCARD     rsvp:e:{0:101a}        their number
//! SISMEMBER rsvp:e:{0:101a} alice  whether alice is one of them
//! HKEYS     rsvp:u:{alice}         the events of alice
//! ```
//!
//! The user index is made of hashes to save memory. In Redis 7.0 a hash of up to
//! `hash-max-listpack-entries` fields takes a third of the memory of a set.
//!
//! On one server a write changes the event's set and the user index in one transaction. In a
//! cluster they are in different slots. The event's set changes first and decides the outcome.
//! Then the store syncs the user index. It writes the index and compares it with the set until both
//! agree. The index may differ from the truth
//!
//! - after a process died between the two;
//! - after a failed write, until the store syncs it again. The store does so after twice the
//!   response timeout, when no part of the write can arrive any more, and for some minutes more
//!   while the servers cannot be reached;
//! - after a failover lost acknowledged writes of one side.
//!
//! The store's [`Maintenance`](rsvp_core::Maintenance) finds the differences and mends them.
//!
//! A removal of a user is complete all the same. In a cluster it ends with a sweep, a look at every
//! event for the user, since only the sweep finds an RSVP missing from the user's list. The sweep
//! reads the names of all keys of the cluster, other applications' included, and sends a
//! `SISMEMBER` for each event, in steps of 4,000 keys. `rsvp:s:{USER}` keeps its progress for up to
//! a minute. A host with many removals a day can [leave the sweep out](RedisConfig::with_sweep) and
//! repair each night. The removal of an event may leave an entry in a user's list without an RSVP
//! in the event's set. A repair removes the entry.
//!
//! # Failed writes
//!
//! Each write of a batch has its own result. If a node fails, exactly the writes to its events and
//! users fail. If a write changed the event's set but not the user's list, it fails with
//! [`Effect::Unknown`](rsvp_core::Effect::Unknown). Its RSVP is then made or cancelled as asked,
//! and a repetition completes the list. An entry refused by the server fails alone, for example if
//! its key holds another type.
//!
//! When a write fails, the store settles its effect. A running server may still hold a command
//! without a reply, so the store closes the connection and fences it. It sends `CLIENT KILL ID` on
//! another connection to the same process and waits for the reply. After the reply the command has
//! been executed or never will be. A deadline covers the fence. If the server cannot be reached by
//! then, the effect is [pending](rsvp_core::Effect::Pending). The next write to the server first
//! sends the fence, whichever connection it uses.
//!
//! - A pending error holds the time until which the network may still deliver the command. It is
//!   the response timeout after a lost connection, and twice the response timeout after a silent
//!   one (on Linux, by the TCP user timeout). A server process may stand still for longer, for
//!   example after a stop signal. It has received the command and may execute it when it resumes.
//!   No write of this store can come before the command then, but a write of another process can.
//! - A replaced primary may execute the command when it comes back. It loses the effect when it
//!   becomes a replica, and the promoted replica never sees it. A restarted server has lost the
//!   command.
//! - Without the right to `CLIENT KILL`, only time settles the effect. It is pending for as long as
//!   above, and other writes to the same server wait until then.
//!
//! At its deadline a write first sends `PING` on its own connection. A reply shows that the server
//! has executed all earlier commands. Then no fence is needed and no other call is disturbed.
//! Without a reply in a quarter of the time left, the store closes the connection, although other
//! calls share it. Other calls without a reply fail with the connection and may be repeated. A read
//! at its deadline disturbs no other call.
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
//! | a replica, promoted when the primary is lost | | | if the replica had received it, usually all but some milliseconds |
//! | the same and [`wait_replicas`](RedisConfig::with_wait_replicas) | | | yes, if the promoted replica is one of the acknowledging ones |
//!
//! Replication is asynchronous, and `WAIT` is not consensus. A primary without contact to the
//! others accepts writes until `cluster-node-timeout` (or for as long as `min-replicas-to-write`
//! lets it). They are lost when it comes back as a replica. A primary without persistence empties
//! its replicas too if it restarts before a replica is promoted. `no-appendfsync-on-rewrite yes`
//! makes `always` as weak as `everysec`. With `appendfsync no` the system decides when to sync, up
//! to half a minute later. If the last row's condition is not acceptable, use `rsvp-postgres`. A
//! `maxmemory-policy` other than `noeviction` deletes RSVPs when memory is short.
//! [`RedisStore::open`] logs a warning (crate `tracing`) when a server keeps nothing or may evict.
//!
//! # Consistency
//!
//! Every read goes to a primary and is strong as far as the engine allows. The store leaves a
//! demoted primary after 100 ms at the latest. A primary without contact to the others answers
//! until it notices.
//!
//! # Several hosts and sentinels
//!
//! Of several hosts the store uses the latest primary, the last one to be promoted. With
//! `redis+sentinel://` it asks the sentinels for the servers. It asks all hosts when it connects,
//! and once a second while it is in use.
//!
//! A replaced primary may go on or come back before it is told to follow its successor. The store
//! does not use it. It compares two primaries by
//!
//! - the replication ids of the servers;
//! - the key `rsvp:primary`;
//! - the failovers of the sentinels;
//! - the primaries it has met before.
//!
//! If these do not tell two primaries apart, the store refuses both. If a store cannot reach the
//! later primary and has never met it, it uses the earlier one.
//!
//! # Lists
//!
//! Listings scan keys with `SSCAN` and `HSCAN`. An entry appears at least once if it exists during
//! the whole listing. This holds over restarts and failovers too, because the listing then begins
//! its key again. An entry may repeat when a set shrinks or is begun again meanwhile. In a cluster
//! a scan of everything, an audit and a repair go slot by slot. They go on when slots move, and
//! miss nothing while a slot is moving.
//!
//! # Large events in a cluster
//!
//! An event is one set, or `event_spread` sets. `MIGRATE` moves a set as a whole and blocks the
//! server meanwhile. A set of 10 million members takes tens of seconds, longer than
//! `cluster-node-timeout`, and the move becomes a failover. For events of more than a million
//! members, choose an `event_spread` to keep each part below a million, or do not move their slots.
//!
//! # The server
//!
//! Redis 6.2 or later, tested with 7.0, and Valkey 9.1. A user of an access control list needs
//! `+@read +@write +@transaction +@connection -@dangerous +info +wait +client|id +client|kill`
//! and the keys `~rsvp:*`. In a cluster it also needs
//! `+cluster|slots +cluster|nodes +cluster|countkeysinslot +cluster|getkeysinslot +asking`.
//! With `+config|get`, `open` can read the server's durability settings. The order matters, because
//! `-@dangerous` takes `FLUSHALL` and its like away.
//!
//! If a user or a managed server refuses a command, the store does without it where it can:
//!
//! | refused | consequence |
//! |---|---|
//! | `CONFIG` | the durability is [`Durability::Unknown`], unless `INFO` shows an append-only file |
//! | `CLIENT ID`, `CLIENT KILL` | only time settles the effect of a write without a reply |
//! | `INFO` | a listing may miss entries after a restart of the server, and two primaries may not be told apart |
//! | `CLUSTER NODES` | two nodes with different claims to a slot are not told apart, and a scan asks every primary for every slot |
//! | `WAIT` | `open` refuses `wait_replicas` |
//!
//! `ROLE` is not used.
//!
//! With the feature `tls` the store uses the default provider of `rustls` of the process. If there
//! is none when it first connects, it installs `ring`. To use another provider, install it before.

mod admin;
mod config;
mod data;
mod store;
mod wire;

pub use self::admin::durability::Durability;
pub use self::config::{CredentialError, CredentialProvider, Credentials, RedisConfig};
pub use self::store::RedisStore;
