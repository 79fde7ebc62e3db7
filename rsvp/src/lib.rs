#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]
//!
//! A service opens a store once and calls four verbs on it: [`rsvp`](RsvpStoreExt::rsvp),
//! [`cancel`](RsvpStoreExt::cancel), [`has_rsvped`](RsvpStoreExt::has_rsvped)
//! and [`rsvp_count`](RsvpStoreExt::rsvp_count).
//! Every backend keeps the same promises, so a service moves
//! to a larger backend by changing the URL.
//!
//! ```
//! use rsvp::{EventId, Outcome, RsvpStoreExt, UserId};
//!
//! # async fn example() -> rsvp::Result<()> {
//! let store = rsvp::open("memory:").await?;
//! let (user, event) = (UserId::from(1), EventId::new("101a")?);
//!
//! assert_eq!(store.rsvp(&user, &event).await?.outcome, Outcome::Applied);
//! assert!(store.has_rsvped(&user, &event).await?);
//! assert_eq!(store.rsvp_count(&event).await?.value, 1);
//! assert_eq!(store.cancel(&user, &event).await?.outcome, Outcome::Applied);
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(example())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where to look
//!
//! - [`open`] lists the URLs of the backends, and opens one store or several as one.
//! - [`RsvpStoreExt`] has the verbs of a host, and [`RsvpStore`] the calls of a backend.
//! - [`ReadOptions`] and [`WriteOptions`] give a call its deadline, and a read its [`Consistency`].
//! - [`layers`] has the stores around a store: coalescing, retries, timeouts, limits,
//!   a count cache, shards, metrics and spans.
//!   [`layers::Layers`] makes them from a query such as `retry=2s&coalesce=true`,
//!   and [`layers::LayerExt`] gives the reasons for their order.
//! - [`Consistency`] and [`SessionToken`] say how fresh a read must be.
//! - [`Receipt`] tells whether a write changed anything, and whether the store repeated it.
//! - [`Error`] tells whether a failed call [took effect](Effect), and whether and
//!   when to repeat it.
//! - [`Maintenance`] audits and repairs a store.
//! - [`Registry`] opens the URLs of custom backends.
//!   [`url`] parses them, and [`backend`] has the rules shared by backends.
//!
//! # Cargo features
//!
//! - `memory` (default): [`MemoryStore`], and `memory:` for [`open`].
//! - `postgres`: `PostgresStore`, and `postgres://…` for [`open`]. Needs Rust 1.94.
//! - `redis`: `RedisStore`, and `redis://…` and `redis+cluster://…` for [`open`].
//! - `sqlite`: `SqliteStore`, and `sqlite:path/to/rsvp.db` for [`open`]. Needs a C compiler.
//! - `tls`: encrypted connections to the servers of the enabled backends.
//! - `serde`: `Serialize` and `Deserialize` for ids, session tokens, cursors, writes
//!   and their answers, counts and pages, and `Serialize` for errors.
//! - `uuid`: ids from a `Uuid`.
//!
//! The layers are always on. Authors of backends depend on `rsvp-core`.
//! Its feature `layers` is off by default.

mod open;

#[doc(inline)]
pub use rsvp_core::*;
#[cfg(feature = "memory")]
pub use rsvp_memory::{MemoryStore, RsvpTable};
#[cfg(feature = "postgres")]
pub use rsvp_postgres as postgres;
#[cfg(feature = "redis")]
pub use rsvp_redis as redis;
#[cfg(feature = "sqlite")]
pub use rsvp_sqlite as sqlite;

pub use self::open::{Registry, open};

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../../docs/consistency.md")]
struct ConsistencyGuide;

#[cfg(doctest)]
#[doc = include_str!("../../docs/cookbook.md")]
struct Cookbook;

#[cfg(doctest)]
#[doc = include_str!("../../CONTRIBUTING.md")]
struct Contributing;

#[cfg(doctest)]
#[doc = include_str!("../../DESIGN.md")]
struct Design;
