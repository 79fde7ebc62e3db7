//! The result of a run.

mod slo;
mod summary;

pub use self::slo::{Goal, Slo};
pub use self::summary::{OperationSummary, Summary};
