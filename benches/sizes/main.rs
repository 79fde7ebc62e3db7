//! How many bytes an RSVP takes, and how rates change as a store grows.
//!
//! ```text
//! cargo bench -p rsvp-benches --bench sizes -- redis
//! ```
//!
//! The names are `postgres`, `redis` and `sqlite`. Without one all of them run. Each module explains its
//! figures.
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a benchmark that cannot go on ends, and its output is what it is for"
)]

mod postgres;
mod redis;
mod sqlite;

#[tokio::main]
async fn main() {
    postgres::run().await;
    redis::run().await;
    sqlite::run().await;
}
