#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]
//!
//! ```no_run
//! use rsvp_core::{EventId, RsvpStoreExt, UserId};
//! use rsvp_postgres::{PostgresConfig, PostgresStore, migrate};
//!
//! # async fn example() -> rsvp_core::Result<()> {
//! let config = PostgresConfig::from_url("postgres://app:secret@db1,db2/tickets?replica=db3")?;
//! migrate(&config).await?;
//! let store = PostgresStore::open(config).await?;
//! store.rsvp(&UserId::from(1), &EventId::new("101a")?).await?;
//! # Ok(())
//! # }
//! ```
//!
//! The tables are in their own Postgres schema, by default `rsvp`.
//!
//! - `rsvps` has the primary key `(event_id, user_id)` and is hash-partitioned by event.
//! - `counts` has several slots for each event. Their sum is the number of its RSVPs.
//!
//! [`migrate`] creates the tables. [`schema_sql`] returns the same SQL for an administrator.
//! At run time the role needs only SELECT, INSERT, UPDATE and DELETE on the tables.
//!
//! # Connections
//!
//! The store owns its connections and keeps them open.
//! When a call takes long, the store opens one more connection beside the pool.
//! There it cancels statements and ends processes of its own role.
//!
//! The store makes its settings in each session, so a pooler needs no configuration for them.
//! A pooler in transaction mode needs
//! [`pooler=transaction`](PostgresConfig::with_transaction_pooler).
//! The store refuses a session without the statement timeout,
//! and a session with settings from the environment (`PGOPTIONS`).
//!
//! # Several hosts
//!
//! The store asks all hosts at once and uses the primary of the latest timeline.
//! It never returns from a later timeline to an earlier one.
//! So it does not use a replaced primary, even if that server still runs.
//! If a session token is of a later timeline than every host, a read with it fails as
//! [`Unavailable`](rsvp_core::Error::Unavailable).
//!
//! A process cannot know of a new primary if it has never reached it.
//! Stop the old primary before a promotion, as cluster managers do.
//!
//! After a failover the store records the timeline of the new primary in its tables.
//! A replica serves reads again once it has replayed this record.
//!
//! A primary in read-only mode answers reads and refuses writes.
//! Strong membership and count reads detect the mode, and look for a better host once a second.

mod admin;
mod config;
mod data;
mod sql;
mod store;
mod wire;

pub use self::admin::durability::Durability;
pub use self::admin::schema::{migrate, schema_sql, upgrade_sql};
pub use self::config::{Login, PasswordError, PasswordProvider, PostgresConfig};
pub use self::store::PostgresStore;
