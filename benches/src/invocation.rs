//! How a target that is not criterion's was started.

use std::env;

/// What the command line asks for, by the rules of criterion's own targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// `cargo bench`: measure.
    Measure,
    /// `cargo test --benches`, or `--test`: run once and quickly, for the errors alone.
    Try,
    /// Another target is meant, or a list of what there is.
    Skip,
}

impl Invocation {
    /// What the command line asks of the target `name`, whose filter is its name.
    pub fn of(name: &str) -> Self {
        let arguments: Vec<String> = env::args().skip(1).collect();
        let has = |option: &str| arguments.iter().any(|argument| argument == option);
        let mut filters = arguments.iter().filter(|argument| !argument.starts_with('-')).peekable();
        if has("--list") || filters.peek().is_some() && !filters.any(|part| name.contains(part)) {
            Self::Skip
        } else if has("--bench") && !has("--test") {
            Self::Measure
        } else {
            Self::Try
        }
    }

    /// Whether a run should do as little as it can; also right for criterion's own targets, for
    /// what they prepare.
    pub fn is_try() -> bool {
        Self::of("") == Self::Try
    }
}
