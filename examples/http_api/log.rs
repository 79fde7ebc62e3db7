//! What an operator must know.

use std::error::Error;
use std::fmt::Write as _;

/// Logs `error` and everything behind it.
pub(crate) fn failure(what: &str, error: &dyn Error) {
    tracing::error!("{}", line(what, error));
}

/// One line with `error` and everything behind it.
pub(crate) fn line(what: &str, error: &dyn Error) -> String {
    let mut line = format!("{what}: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        // Writing to a `String` cannot fail.
        let _ = write!(line, ": {cause}");
        source = cause.source();
    }
    line
}
