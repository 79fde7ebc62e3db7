#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]
//!
//! ```
//! use rsvp_core::{EventId, RsvpStore, RsvpStoreExt, UserId};
//! use rsvp_sqlite::{SqliteConfig, SqliteStore};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # std::env::set_current_dir(&folder)?;
//! let store = SqliteStore::open(SqliteConfig::from_url("sqlite:rsvp.db")?).await?;
//! store.rsvp(&UserId::from(1), &EventId::new("101a")?).await?;
//! assert_eq!(store.rsvp_count(&EventId::new("101a")?).await?.value, 1);
//! store.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # The file
//!
//! Names are kept once. Everywhere else a number stands for a name, so that a pair takes about half of
//! the bytes. The tables can be read with the `sqlite3` shell while the store is open:
//!
//! | table or view | columns |
//! |---|---|
//! | `events` | `id`, `name`, `count` |
//! | `users` | `id`, `name` |
//! | `rsvps`, with an index by user | `event`, `user`, which are ids |
//! | `labels` | `name`, `value` |
//! | `named_rsvps` | `event`, `user`, which are names |
//! | `named_counts` | `event`, `count` |
//!
//! The count of an event changes in the transaction that changes its RSVPs. A name goes in the
//! transaction that takes its last RSVP, and its bytes are overwritten (`secure_delete`): within
//! about a second in the log, too, while nobody reads from the file for long.
//!
//! Beside `rsvp.db` there are `rsvp.db-wal` and `rsvp.db-shm`, the log of SQLite, while the store is
//! open and after a crash. They belong to the file: never copy, move or remove one without the others.
//! `rsvp.db-lock` has no content.
//!
//! # One owner
//!
//! One store owns the file, for which it has a lock of the system on `rsvp.db-lock`. The lock goes with
//! the process, however that ends. Others may read the file, and a program that writes to it, such as
//! `sqlite3`, makes calls wait for the [busy timeout](SqliteConfig::with_busy_timeout). The file must be
//! on a local disk, because network file systems have no shared memory.

mod admin;
mod config;
mod data;
mod engine;
mod store;
mod wire;

pub use self::admin::backup::backup;
pub use self::config::{Durability, SqliteConfig};
pub use self::store::SqliteStore;
