//! The RSVP store in the memory of one process.
//!
//! [`MemoryStore`] is an [`RsvpStore`](rsvp_core::RsvpStore); [`RsvpTable`] is what it keeps its
//! data in, callable without async.
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

mod cursor;
mod set;
mod store;
mod table;

pub use self::store::MemoryStore;
pub use self::table::RsvpTable;
