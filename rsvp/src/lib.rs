//! Who is coming to what.

mod open;

pub use rsvp_core::*;
#[cfg(feature = "memory")]
pub use rsvp_memory::MemoryStore;

pub use self::open::open;
