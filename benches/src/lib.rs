//! Support for the benchmarks: the pairs they write, the load that writes them, and servers with
//! the store and the baseline on them.
//!
//! | target | question |
//! |---|---|
//! | `backends` | What does a call cost on each backend, and by hand? |
//! | `layers` | What does each layer add to a call? |
//! | `ratios` | How many times as many calls does the store take as the baseline? |
//! | `sizes` | How many bytes does an RSVP take? |
//!
//! They run under `cargo bench -p rsvp-benches`, start their own servers, and leave nothing behind.
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
mod way;

pub use self::alternation::Alternation;
pub use self::baseline::{MemoryBaseline, PostgresBaseline, RedisBaseline, SqliteBaseline};
pub use self::invocation::Invocation;
pub use self::load::{Load, Tally};
pub use self::pairs::Pairs;
pub use self::population::Population;
pub use self::postgres::Database;
pub use self::redis::{Keyspace, ServerTime};
pub use self::simulated::Simulated;
pub use self::way::{ByStore, Way, write_all};
