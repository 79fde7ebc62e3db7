//! A load generator for the RSVP store.
//!
//! It drives a [`Target`] (a store, a running service, or the way that a developer would write by
//! hand) with a [`Scenario`], and measures latency, throughput, the staleness of counts and misses of
//! acknowledged writes. [`Summary`] is the result as JSON, [`Slo`] compares it with the service
//! levels, and [`report`] draws it.
//!
//! - A closed loop makes the next call when the last one has ended. It measures throughput.
//! - An open loop starts calls at a rate, whatever the store does, and measures each from the moment at
//!   which it was due. A pause of the store therefore shows in every call that was due in it, and not
//!   only in the few that were in flight (coordinated omission).
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use rsvp_load::{Load, Plan, Scenario, StoreTarget, Summary};
//!
//! # async fn example() -> Result<(), rsvp_load::Failure> {
//! let store = rsvp::open("memory:").await?;
//! let plan = Plan::new(Scenario::Steady, Duration::from_millis(200)).with_rate(Some(1_000.0));
//! let measured = Load::new(Arc::new(StoreTarget::new(store)), plan.clone()).run().await?;
//! let summary = Summary::new("memory", &plan, &measured);
//! assert!(summary.operations["has_rsvped"].completed > 0);
//! # Ok(())
//! # }
//! # tokio::runtime::Runtime::new()?.block_on(example())?;
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```

pub mod by_hand;
pub mod check;
mod drive;
mod environment;
mod find_max;
mod measure;
mod plan;
pub mod report;
mod result;
pub mod scale;
mod source;
mod target;
pub mod text;
mod world;

pub use self::check::Failure;
pub use self::drive::{Load, Stop};
pub use self::environment::Environment;
pub use self::find_max::find_max;
pub use self::measure::{Calls, Latencies, Measured, Tick};
pub use self::plan::{Phase, Plan, Scenario};
pub use self::result::{Goal, OperationSummary, Slo, Summary, regressions};
pub use self::source::{Source, redacted};
pub use self::target::{Answer, Failed, HttpTarget, PAGE, StoreTarget, Target};
pub use self::world::Operation;
