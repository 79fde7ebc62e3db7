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
//! The tables are in a Postgres schema of their own, which defaults to `rsvp`. The table `rsvps`
//! has the primary key `(event_id, user_id)` and is hash-partitioned by event. The slots of an
//! event in `counts` add up to the number of its RSVPs. [`migrate`] creates the tables, and
//! [`schema_sql`] gives the SQL that does. At run time a role needs only SELECT, INSERT, UPDATE and
//! DELETE on the tables.
//!
//! # Connections
//!
//! The store owns its connections, which are long-lived. Beside the pool it opens a connection that
//! cancels statements and ends processes of its own role, once a call takes long. Settings are made in
//! the session, so poolers need no settings of theirs. One that lends a session for one transaction at
//! a time takes [`pooler=transaction`](PostgresConfig::with_transaction_pooler). A session without its
//! statement timeout is refused, and so is one with settings that the environment made (`PGOPTIONS`).
//!
//! # Several hosts
//!
//! The store asks all hosts at once and uses the primary of the latest timeline. It never goes back to
//! an earlier one that it has met, so a primary that was replaced and goes on is not used. A session
//! whose token is of a later timeline than any host's gets
//! [`Unavailable`](rsvp_core::Error::Unavailable). A process that has just started and cannot reach the
//! new primary cannot tell that there is one: stop the old one first, as cluster managers do.
//!
//! After a failover a replica serves again once it has replayed a record of the new primary's
//! timeline, which the store writes.
//!
//! A primary that was set read-only answers reads and refuses writes. Strong memberships and counts
//! notice that, and look for a better host once a second.

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
