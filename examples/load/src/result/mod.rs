//! The result of a run.

mod regression;
mod slo;
mod summary;

pub use self::regression::regressions;
pub use self::slo::{Goal, Slo};
pub use self::summary::{OperationSummary, Summary};
