//! The load generator on stores whose behaviour is known.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod by_hand;
mod cli;
mod pause;
mod report;
mod runs;
mod stale;
