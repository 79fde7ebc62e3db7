//! Prints results to stdout, and progress and failures to stderr.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write};

use serde_json::{Value, json};

/// The format of the output, for people or for programs.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Prints a result, as the sentence or as the object in one line.
    pub(crate) fn result(&self, text: &str, object: &Value) -> io::Result<()> {
        let printed = match self.json {
            true => writeln!(io::stdout(), "{object}"),
            false => writeln!(io::stdout(), "{text}"),
        };
        match printed {
            // A reader that has enough, such as `head`, does not fail the command.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            printed => printed,
        }
    }

    /// Prints the progress of the command.
    pub(crate) fn progress(&self, text: &str) {
        // A closed stderr must not end the command.
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// Prints the failure of the command.
    pub(crate) fn failure(&self, error: &(dyn Error + 'static)) {
        let text = with_causes(error);
        let line = match (self.json, error.downcast_ref::<rsvp::Error>()) {
            (true, Some(error)) => {
                let (kind, effect) = (error.kind(), error.effect().as_str());
                let retryable = error.is_retryable();
                let members = json!({"kind": kind, "effect": effect, "retryable": retryable});
                json!({"error": text, "details": members}).to_string()
            }
            (true, None) => json!({"error": text}).to_string(),
            (false, _) => text,
        };
        // A failure to print has no place to be printed. The exit code tells it all the same.
        let _ = writeln!(io::stderr(), "{line}");
    }
}

/// Returns one line with an error and all its causes.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // Writing to a `String` cannot fail.
        let _ = write!(line, ": {cause}");
        source = cause.source();
    }
    line
}
