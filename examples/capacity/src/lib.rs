//! The capacity that a number of users needs, for each backend: storage, rates, servers, latency, cost.
//!
//! ```text
//! cargo run --example capacity -- --users 100M --rsvps-per-user 10 --events 10M --peak-factor 10 \
//!   --hottest-event-rps 20k
//! ```
//!
//! | file | idea |
//! |---|---|
//! | `constants` | every measured number, beside the command that measured it |
//! | `assumptions` | every number that was not measured, with a low and a high case |
//! | `prices` | the price of a month of a processor, a gigabyte and a disk |
//! | `workload` | from users to RSVPs, bytes and calls a second |
//! | `engine` | from calls a second to the time that a call waits |
//! | `plan`, `planner` | the deployment of each backend, its latency and its cost |
//! | `recovery` | outages against the error budget, and the time to restore |
//! | `sizes` | the five sizes of `docs/scaling.md` |
//! | `document` | the tables and numbers of `docs/scaling.md`, and how they are put there |
//!
//! A result is a plan and not a measurement. The document tells how each number comes about.

mod assumptions;
mod constants;
mod document;
mod engine;
mod format;
mod plan;
mod planner;
mod prices;
mod quantity;
mod recovery;
mod report;
mod sizes;
mod table;
mod workload;

pub use self::assumptions::{Assumptions, Case, Range};
pub use self::constants::{MEASURED, Measured};
pub use self::document::{Document, fill};
pub use self::plan::{Backend, Cost, Latency, Plan, Service, Store};
pub use self::prices::Prices;
pub use self::quantity::{QuantityError, parse_quantity};
pub use self::recovery::{Outage, Recovery};
pub use self::report::{Report, text};
pub use self::sizes::{SIZES, Size};
pub use self::workload::{Request, Workload};
