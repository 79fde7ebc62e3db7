//! Random operations on a running service, compared with a model.
//!
//! Each connection owns some of the users, so the outcome of all it does to them is known
//! beforehand. Counts mix the users of all connections: they are compared with bounds while
//! writes are in flight, and exactly at the end, together with every list in both directions.

mod client;
mod moves;
mod plan;
mod probe;
mod random;
mod report;
mod run;
mod verify;
mod walk;
mod world;

pub use self::client::{Answer, Client, Failure};
pub use self::plan::Plan;
pub use self::report::Report;
pub use self::world::{Event, Name, World};
