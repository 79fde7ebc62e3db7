//! The load generator on stores whose behaviour is known.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod pause;
mod runs;
mod stale;
