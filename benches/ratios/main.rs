//! How many times as many calls the store takes as the baseline, in alternation.
//!
//! ```text
//! cargo bench -p rsvp-benches --bench ratios -- postgres
//! ```
//!
//! The names are `coalesced`, `overload`, `postgres`, `redis` and `sqlite`. Without one all of them run.
//! Each module explains its comparison and the meaning of its figures.
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a benchmark that cannot go on ends, and its output is what it is for"
)]

mod coalesced;
mod overload;
mod postgres;
mod redis;
mod sqlite;

#[tokio::main]
async fn main() {
    postgres::run().await;
    coalesced::run().await;
    redis::run().await;
    sqlite::run().await;
    overload::run().await;
}
