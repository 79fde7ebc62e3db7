//! The failure of one host of several.

use std::time::Duration;

/// The reason for which one host of several gave no connection.
///
/// ```
/// use std::time::Duration;
/// use rsvp_core::backend::HostFailure;
///
/// /// Describes the failures of all hosts, in the order of the attempts.
/// fn describe(failures: &[HostFailure<String>]) -> String {
///     let each = failures.iter().map(|failure| match failure {
///         HostFailure::TimedOut(after) => format!("no answer within {after:?}"),
///         HostFailure::Failed(error) => error.clone(),
///     });
///     each.collect::<Vec<_>>().join(", ")
/// }
/// let failures = [
///     HostFailure::TimedOut(Duration::from_secs(1)),
///     HostFailure::Failed("connection refused".to_owned()),
/// ];
/// assert_eq!(describe(&failures), "no answer within 1s, connection refused");
/// ```
#[derive(Clone, Debug)]
pub enum HostFailure<E> {
    /// The host did not answer within this time.
    TimedOut(Duration),
    /// The attempt failed.
    Failed(E),
}
