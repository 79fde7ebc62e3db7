//! The log of the service, on stderr.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};

/// How many lines may wait until somebody reads stderr; then new ones are lost.
const LOG_LINES: usize = 10_000;

/// Stderr with a writer thread of its own, so that the service goes on, and ends, when no program
/// reads it. Dropping it writes the waiting lines, or gives up after a second.
#[derive(Debug)]
pub struct Log {
    stderr: NonBlocking,
    _guard: WorkerGuard,
}

impl Log {
    /// Starts to show failures of the service and warnings of the library.
    pub fn start() -> Self {
        let stderr = NonBlockingBuilder::default().buffered_lines_limit(LOG_LINES).lossy(true);
        let (stderr, guard) = stderr.finish(io::stderr());
        tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
            .with_writer(stderr.clone())
            .with_target(false)
            .with_ansi(false)
            .without_time()
            .init();
        Self { stderr, _guard: guard }
    }

    /// Writes the reason why the service ends.
    pub fn end(&mut self, what: &str, error: &dyn Error) {
        let line = format!("{}\n", line(what, error));
        // Nothing is left to be done if nobody can be told.
        let _ = self.stderr.write_all(line.as_bytes());
    }
}

/// Logs `error` and everything behind it.
pub(crate) fn failure(what: &str, error: &dyn Error) {
    tracing::error!("{}", line(what, error));
}

/// One line with `error` and everything behind it.
fn line(what: &str, error: &dyn Error) -> String {
    let mut line = format!("{what}: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        // Writing to a `String` cannot fail.
        let _ = write!(line, ": {cause}");
        source = cause.source();
    }
    line
}
