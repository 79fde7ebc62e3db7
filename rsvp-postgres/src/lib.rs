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
//! The tables are in a Postgres schema of their own, which defaults to `rsvp`. The table `rsvps`
//! has the primary key `(event_id, user_id)` and is hash-partitioned by event. The slots of an
//! event in `counts` add up to the number of its RSVPs. [`migrate`] creates the tables, and
//! [`schema_sql`] gives the SQL that does. At run time a role needs only SELECT, INSERT, UPDATE and
//! DELETE on the tables.
//!
//! The store owns its connections, which are long-lived. A pooler between the store and the server
//! must pool sessions and pass startup options on, because settings are made when a session begins.
//! A session without its statement timeout is refused. Beside the pool the store opens a connection
//! that cancels statements and ends processes of its own role, once a call takes long.

mod admin;
mod config;
mod data;
mod sql;
mod store;
mod wire;

pub use self::admin::schema::{migrate, schema_sql};
pub use self::config::PostgresConfig;
pub use self::store::PostgresStore;
