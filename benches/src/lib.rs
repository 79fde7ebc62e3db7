//! Support for the benchmarks: the pairs they write, the load that writes them, and servers with
//! the store and the baseline on them.
//!
//! The targets are `wrappers`, `coalesced_ratio`, `overload`, `memory`, `postgres`,
//! `postgres_ratio`, `postgres_disk`, `redis`, `redis_ratio`, `redis_memory`, `sqlite_ratio` and `sqlite_growth`. Each explains at
//! its top the comparison and the meaning of its figures. They run under
//! `cargo bench -p rsvp-benches`, start their own servers, and leave nothing behind.
#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on ends, and its output is what it is for"
)]

mod alternation;
mod baseline;
mod invocation;
mod load;
mod pairs;
mod population;
mod postgres;
mod redis;
mod simulated;

pub use self::alternation::Alternation;
pub use self::baseline::{PostgresBaseline, RedisBaseline, SqliteBaseline};
pub use self::invocation::Invocation;
pub use self::load::{Load, Tally};
pub use self::pairs::Pairs;
pub use self::population::Population;
pub use self::postgres::Database;
pub use self::redis::{Keyspace, ServerTime};
pub use self::simulated::Simulated;
