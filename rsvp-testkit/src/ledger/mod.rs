//! Writers that record every acknowledged write, and a check that the store has all of them.
//!
//! This is for tests of faults.
//! The writers continue while the engine is killed, cut off or failed over,
//! and repeat failed calls. Every acknowledged write must be there afterwards.
//!
//! ```
//! use std::sync::Arc;
//!
//! use rand::SeedableRng;
//! use rand::rngs::StdRng;
//! use rsvp_memory::MemoryStore;
//! use rsvp_testkit::ledger::{Writers, check};
//!
//! # #[tokio::main]
//! # async fn main() {
//! let mut random = StdRng::seed_from_u64(rsvp_testkit::seed());
//! let store = Arc::new(MemoryStore::new());
//! let writers = Writers::start(store.clone(), 4, &mut random);
//! writers.acknowledge(100).await;
//! // Here something happens to the engine.
//! writers.acknowledge(100).await;
//! let ledger = writers.stop().await;
//! check(&*store, &ledger).await;
//! # }
//! ```

mod check;
mod crashes;
mod record;
mod writers;

pub use self::check::{check, lost};
pub use self::crashes::crash_under_writers;
pub use self::record::Ledger;
pub use self::writers::Writers;
