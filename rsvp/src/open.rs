//! Opening a store by its URL.

use std::sync::Arc;

use rsvp_core::{Error, Result, RsvpStore};

/// Opens a store.
///
/// # Errors
///
/// Invalid input.
pub async fn open(url: &str) -> Result<Arc<dyn RsvpStore>> {
    #[cfg(feature = "memory")]
    if url == "memory:" {
        return Ok(Arc::new(rsvp_memory::MemoryStore::new()));
    }
    let _ = url;
    Err(Error::invalid_input("url", "unknown"))
}
