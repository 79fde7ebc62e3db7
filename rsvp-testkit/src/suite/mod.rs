//! The conformance suite: the sentences of the contract as cases, their list, and the runner.

mod cases;
mod engine;
mod list;
mod run;
mod subject;

pub use self::list::{CASES, Case};
pub use self::run::{SEED_VARIABLE, run, seed};
pub use self::subject::{Subject, Trial};
