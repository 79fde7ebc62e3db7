//! What an operator must know, on stderr.

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;

/// One line with `error` and everything behind it.
pub(crate) fn failure(what: &str, error: &dyn Error) {
    let mut line = format!("{what}: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        // Writing to a `String` cannot fail.
        let _ = write!(line, ": {cause}");
        source = cause.source();
    }
    // The service must live on when nobody reads its stderr.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
