//! Calls that outlive their callers.

use std::future::Future;

use crate::{Effect, Error, Operation, Result};

/// Runs a call on a task of its own, so that it finishes after its caller has gone away.
///
/// A write of several steps must not stop between two of them,
/// and a connection must not return to its pool in the middle of an answer.
///
/// ```
/// use rsvp_core::Operation;
/// use rsvp_core::backend::run_to_end;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> rsvp_core::Result<()> {
/// let answer = run_to_end(Operation::Write, async { Ok(42) }).await?;
/// assert_eq!(answer, 42);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// The error of the call itself, or [`Error::Backend`] with unknown effect
/// if the call panics or its runtime shuts down.
///
/// # Panics
///
/// Outside of a Tokio runtime, as [`tokio::spawn`] does.
pub async fn run_to_end<T: Send + 'static>(
    operation: Operation,
    call: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    match tokio::spawn(call).await {
        Ok(answer) => answer,
        Err(error) => Err(Error::backend(operation, Effect::Unknown, false, error)),
    }
}
