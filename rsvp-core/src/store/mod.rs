//! The trait that a backend implements, and the verbs that every store has for free.

mod ext;
mod pointer;
mod rsvp_store;
mod stream;

pub use self::ext::RsvpStoreExt;
pub use self::rsvp_store::RsvpStore;
