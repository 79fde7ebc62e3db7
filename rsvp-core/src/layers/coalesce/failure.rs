//! The errors of the coalescer itself.

use std::time::Duration;

use tokio::runtime::Handle;

use crate::{Deadline, Effect, Error, Operation, Result};

/// The deadline of a call without one, counted from the moment its batch is sent.
/// So every batch has a deadline, and a caller that gives up on a batch knows the latest end of it.
pub(super) const LONGEST_BATCH: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the store panicked, or the runtime that drove it was shut down")]
    Lost,
    #[error("the runtime that drove the queue was shut down")]
    Stopped,
    #[error("coalescing needs a Tokio runtime, and the caller has none")]
    NoRuntime,
}

/// The error of a batch dropped in flight.
/// It may take effect until its deadline, and during the settling time of the store after it.
pub(super) fn lost(operation: Operation, settling: Duration) -> Error {
    let effect = Effect::Pending(Deadline::after(LONGEST_BATCH + settling));
    Error::unavailable(operation, effect, Some(Failure::Lost.into()))
}

pub(super) fn stopped(operation: Operation) -> Error {
    Error::unavailable(operation, Effect::NotApplied, Some(Failure::Stopped.into()))
}

/// Returns the runtime of the caller.
pub(super) fn runtime(operation: Operation) -> Result<Handle> {
    let none = |_| Error::backend(operation, Effect::NotApplied, false, Failure::NoRuntime);
    Handle::try_current().map_err(none)
}
