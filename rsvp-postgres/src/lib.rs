//! The RSVP store on Postgres: exact, durable, with read replicas.
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
//! Everything is in a Postgres schema of its own, `rsvp` unless configured otherwise: `rsvps`
//! with the primary key `(event_id, user_id)`, hash-partitioned by event, and `counts`, whose
//! slots add up to the number of an event's RSVPs. [`migrate`] creates it, [`schema_sql`] prints
//! it; at run time a role needs only SELECT, INSERT, UPDATE and DELETE on its tables.
//!
//! Connections are the store's own and long-lived. Through a proxy they need session pooling,
//! because settings are made when a session starts.

mod admin;
mod config;
mod data;
mod sql;
mod store;
mod wire;

pub use self::admin::audit::{AuditReport, Drift};
pub use self::admin::schema::{migrate, schema_sql};
pub use self::config::PostgresConfig;
pub use self::store::PostgresStore;
