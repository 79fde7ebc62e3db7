//! Results on stdout, for people or for programs; progress and failures on stderr.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write};

use serde_json::{Value, json};

/// Where results go, and how they look.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Prints a result: the sentence, or the object in one line.
    pub(crate) fn result(&self, text: &str, object: &Value) -> io::Result<()> {
        match self.json {
            true => writeln!(io::stdout(), "{object}"),
            false => writeln!(io::stdout(), "{text}"),
        }
    }

    /// Tells how far the command has got.
    pub(crate) fn progress(&self, text: &str) {
        // The command goes on if nobody listens.
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// Tells why the command has failed.
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
        // Nothing is left to be done if nobody can be told.
        let _ = writeln!(io::stderr(), "{line}");
    }
}

/// An error and everything behind it, in one line.
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
