//! The trait of backends, and the verbs of every store.

mod ext;
mod maintenance;
mod pointer;
mod rsvp_store;
mod stream;

pub use self::ext::RsvpStoreExt;
pub use self::maintenance::{Audit, AuditStep, Finding, FindingKind, Maintenance};
pub use self::rsvp_store::RsvpStore;
