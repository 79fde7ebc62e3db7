//! Failures for the host's log.

use std::error::Error;
use std::fmt::Write as _;

/// Logs `error` and all its causes.
pub(crate) fn failure(what: &str, error: &dyn Error) {
    tracing::error!(target: "rsvp", "{}", line(what, error));
}

/// Returns one line with an error and all its causes, for a log.
///
/// ```
/// let error = rsvp_core::Error::invalid_input("url", "has no scheme");
/// assert_eq!(rsvp_axum::error_line("not opened", &error), "not opened: invalid url: has no scheme");
/// ```
#[must_use]
pub fn line(what: &str, error: &dyn Error) -> String {
    let mut line = format!("{what}: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        // Writing to a `String` cannot fail.
        let _ = write!(line, ": {cause}");
        source = cause.source();
    }
    line
}
