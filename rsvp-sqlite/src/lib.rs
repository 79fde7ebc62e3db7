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
//! The file stores each name once, and refers to it by a number.
//! A pair takes about half of the bytes this way.
//! The tables can be read with the `sqlite3` shell while the store is open:
//!
//! | table or view | columns |
//! |---|---|
//! | `events` | `id`, `name`, `count` |
//! | `users` | `id`, `name` |
//! | `rsvps`, with an index by user | `event`, `user` (ids) |
//! | `labels` | `name`, `value` |
//! | `named_rsvps` | `event`, `user` (names) |
//! | `named_counts` | `event`, `count` |
//!
//! - The count of an event changes in the same transaction as its RSVPs.
//! - A name is deleted in the same transaction as its last RSVP.
//! - The bytes of deleted rows are overwritten (`secure_delete`).
//!   They leave the log within about a second, unless a reader holds the log for long.
//!
//! While the store is open, and after a crash, the log of SQLite lies beside the file,
//! in `rsvp.db-wal` and `rsvp.db-shm`.
//! Never copy, move or remove one of these files without the others.
//! `rsvp.db-lock` has no content.
//!
//! # One owner
//!
//! One store owns the file. It holds a lock of the system on `rsvp.db-lock`.
//! The system releases the lock when the process ends, even if it crashes.
//!
//! Other programs may read the file. If one writes to it, such as `sqlite3`, calls wait for it
//! up to the [busy timeout](SqliteConfig::with_busy_timeout).
//! The file must be on a local disk, because network file systems have no shared memory.

mod admin;
mod config;
mod data;
mod engine;
mod store;
mod wire;

pub use self::admin::backup::backup;
pub use self::config::{Durability, SqliteConfig};
pub use self::store::SqliteStore;
