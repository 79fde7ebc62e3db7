#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]
//!
//! [`MemoryStore`] is an [`RsvpStore`](rsvp_core::RsvpStore).
//! It keeps its data in an [`RsvpTable`] with calls of its own, without async.
//!
//! ```
//! use rsvp_core::{EventId, RsvpStoreExt, UserId};
//! use rsvp_memory::MemoryStore;
//!
//! # async fn example() -> rsvp_core::Result<()> {
//! let store = MemoryStore::new();
//! let (user, event) = (UserId::from(1), EventId::new("101a")?);
//! store.rsvp(&user, &event).await?;
//! assert!(store.has_rsvped(&user, &event).await?);
//! assert!(store.table().has_rsvped(&user, &event));
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(example())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod data;
mod store;

pub use self::data::RsvpTable;
pub use self::store::MemoryStore;
