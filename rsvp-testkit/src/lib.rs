#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]
//!
//! [`conformance!`] writes one named test for each sentence of the contract,
//! from the list [`CASES`].
//! A store that passes keeps the promises of [`RsvpStore`](rsvp_core::RsvpStore).
//! The backends of this repository run the suite. Stores broken on purpose must fail it.
//!
//! Randomised cases print their seed. Set `RSVP_TESTKIT_SEED` to repeat them with it.
//!
//! [`FaultStore`] makes any store fail, before or after the effect, delay and hang.
//! Use it to test code on top of a store.
//!
//! The suite does not stop the engine.
//! For tests with faults of the engine, [`ledger`] has writers that record each acknowledged write,
//! and [`staleness`] measures the age of counts.
//!
//! # A custom backend
//!
//! This is a whole backend, with the lines that test it:
//!
//! ```
#![doc = include_str!("../tests/suite/sorted_store.rs")]
//!
//! rsvp_testkit::conformance!(SortedStore::default(), except {
//!     a_store_that_cannot_write_is_not_ready => "there is no engine that could stop",
//!     an_entry_that_fails_takes_no_other_down => "there is no engine that could refuse an entry",
//! });
//! ```

mod calls;
mod every_call;
mod fault_store;
mod ids;
pub mod ledger;
mod model;
#[cfg(feature = "servers")]
pub mod servers;
pub mod staleness;
mod stub;
mod suite;

pub use self::every_call::{PendingCall, every_call};
pub use self::fault_store::{FaultStore, Faults};
pub use self::ids::{HOSTILE_IDS, hostile_ids};
pub use self::model::Model;
pub use self::stub::{Stub, Stubbed};
pub use self::suite::{CASES, Case, SEED_VARIABLE, Subject, Trial, run, seed};
