//! The conformance suite of the RSVP store, for any backend or wrapper.
//!
//! [`conformance!`] writes one named test per sentence of the contract from a single list,
//! [`CASES`]. A store that passes keeps what [`RsvpStore`](rsvp_core::RsvpStore) promises: the
//! suite is how our own backends are held to it, and stores broken on purpose must fail it.
//!
//! Randomised cases print their seed; `RSVP_TESTKIT_SEED` runs them again with it.
//!
//! [`FaultStore`] makes any store fail, before or after the effect, delay and hang: for tests of what
//! is built on one.
//!
//! What the suite cannot do is to hurt the engine. For tests that do, [`ledger`] has writers who
//! remember what was acknowledged.
//!
//! # A backend of your own
//!
//! This is the whole of a backend, and the line that tests it:
//!
//! ```
#![doc = include_str!("../tests/suite/sorted_store.rs")]
//!
//! rsvp_testkit::conformance!(SortedStore::default());
//! ```

mod fault_store;
mod ids;
pub mod ledger;
mod model;
#[cfg(feature = "servers")]
pub mod servers;
pub mod staleness;
mod suite;

pub use self::fault_store::{FaultStore, Faults};
pub use self::ids::{HOSTILE_IDS, hostile_ids};
pub use self::model::Model;
pub use self::suite::{CASES, Case, SEED_VARIABLE, Subject, Trial, run, seed};
