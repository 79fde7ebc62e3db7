//! What the benchmarks share: the pairs they write, the callers that write them, and servers with
//! the store and the by-hand way on them.
//!
//! The targets are `wrappers`, `coalesced_ratio`, `overload`, `memory`, `postgres`, `postgres_ratio`,
//! `postgres_disk`, `redis`, `redis_ratio` and `redis_memory`; each says at its top what it compares and what its figures mean. They run
//! under `cargo bench -p rsvp-benches`, bring their servers themselves, and leave nothing behind.
#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on ends, and its output is what it is for"
)]

mod alternation;
mod by_hand;
mod crowd;
mod database;
mod invocation;
mod pairs;
mod redis;
mod simulated;
mod town;

pub use self::alternation::Alternation;
pub use self::by_hand::ByHand;
pub use self::crowd::{Crowd, Tally};
pub use self::database::Database;
pub use self::invocation::Invocation;
pub use self::pairs::Pairs;
pub use self::redis::{Keyspace, RedisByHand, ServerTime};
pub use self::simulated::Simulated;
pub use self::town::Town;
