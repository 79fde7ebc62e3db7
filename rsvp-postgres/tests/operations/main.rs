//! The operation of a store, with migrations, audits, repairs and removals.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::print_stdout, reason = "a seed is printed to be used again")]

mod batches;
mod closing;
mod counts;
mod labels;
mod logins;
mod migrations;
mod plans;
mod removals;
mod round_trips;
mod sessions;
