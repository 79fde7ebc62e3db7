//! What can go wrong, and what a caller may do about it.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::Operation;

/// The result of every fallible call of this library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whether a failed call took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Nothing of the call took effect, and nothing will.
    NotApplied,
    /// The call, or any part of its batch, may have taken effect or may still do so.
    ///
    /// Repeating it as it is is safe; a repeated write may then answer
    /// [`Unchanged`](crate::Outcome::Unchanged), because the first try had applied it.
    Unknown,
}

impl Effect {
    fn advice(self, retryable: bool) -> &'static str {
        match (self, retryable) {
            (Self::NotApplied, true) => "nothing was applied, repeat it after a pause",
            (Self::NotApplied, false) => "nothing was applied, and repeating it will not help",
            (Self::Unknown, true) => "it may have taken effect, repeating it is safe",
            (Self::Unknown, false) => "it may have taken effect, and repeating it will not help",
        }
    }
}

/// The error behind an [`Error`], shared so that every caller of a failed batch can have it.
pub type Source = Arc<dyn StdError + Send + Sync + 'static>;

/// Why a call failed.
///
/// Two questions are answered in code: [`effect`](Self::effect) tells whether the call took
/// effect, [`is_retryable`](Self::is_retryable) whether repeating it can succeed. `Display` says
/// what was being done and what to try; the driver's own error is the
/// [`source`](StdError::source) and is not printed a second time.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller's input is wrong.
    #[error("invalid {field}: {reason}")]
    #[non_exhaustive]
    InvalidInput {
        /// Which input: `user_id`, `event_id`, `cursor`, `limit`, `session_token`, `url`, ….
        field: &'static str,
        /// What is wrong with it, and what would be right.
        reason: String,
    },

    /// Refused before any effect, because too much is in flight or queued.
    #[error("{operation} was refused, too many calls are in flight: {}", self.effect().advice(true))]
    #[non_exhaustive]
    Overloaded {
        /// The refused operation.
        operation: Operation,
    },

    /// No answer came in time.
    #[error("{operation} got no answer within {after:?}: {}", effect.advice(true))]
    #[non_exhaustive]
    TimedOut {
        /// The operation that was waited for.
        operation: Operation,
        /// How long it was waited for.
        after: Duration,
        /// Whether it took effect.
        effect: Effect,
    },

    /// The store cannot be reached, or does not take this call now.
    #[error("{operation} found the store unavailable: {}", effect.advice(true))]
    #[non_exhaustive]
    Unavailable {
        /// The failed operation.
        operation: Operation,
        /// Whether it took effect.
        effect: Effect,
        /// What the driver reported.
        source: Option<Source>,
    },

    /// The store holds, or answered, something that it never should.
    #[error("{operation} found corrupt data, which needs repair: {what}")]
    #[non_exhaustive]
    Corrupt {
        /// The operation that found it.
        operation: Operation,
        /// What was found.
        what: String,
    },

    /// Anything else that the backend reported.
    #[error("{operation} failed in the backend: {}", effect.advice(*retryable))]
    #[non_exhaustive]
    Backend {
        /// The failed operation.
        operation: Operation,
        /// Whether it took effect.
        effect: Effect,
        /// Whether repeating it can succeed.
        retryable: bool,
        /// What the driver reported.
        source: Source,
    },
}

impl Error {
    /// Wrong input: `field` is its name, `reason` says what is wrong without repeating secrets.
    pub fn invalid_input(field: &'static str, reason: impl Into<String>) -> Self {
        Self::InvalidInput { field, reason: reason.into() }
    }

    /// A call shed before any effect.
    pub fn overloaded(operation: Operation) -> Self {
        Self::Overloaded { operation }
    }

    /// No answer within `after`. A read or a call that was not sent yet is
    /// [`Effect::NotApplied`], a write that was sent is [`Effect::Unknown`].
    pub fn timed_out(operation: Operation, after: Duration, effect: Effect) -> Self {
        Self::TimedOut { operation, after, effect: effect.of(operation) }
    }

    /// A store that cannot be reached or does not take the call now.
    pub fn unavailable(operation: Operation, effect: Effect, source: Option<Source>) -> Self {
        Self::Unavailable { operation, effect: effect.of(operation), source }
    }

    /// Data that never should be. Repeating the call will not help.
    pub fn corrupt(operation: Operation, what: impl Into<String>) -> Self {
        Self::Corrupt { operation, what: what.into() }
    }

    /// Anything else that a backend reports.
    pub fn backend(
        operation: Operation,
        effect: Effect,
        retryable: bool,
        source: impl StdError + Send + Sync + 'static,
    ) -> Self {
        let source = Arc::new(source);
        Self::Backend { operation, effect: effect.of(operation), retryable, source }
    }

    /// Whether the failed call took effect. A failed read never did.
    pub fn effect(&self) -> Effect {
        match self {
            Self::InvalidInput { .. } | Self::Overloaded { .. } => Effect::NotApplied,
            Self::TimedOut { effect, .. }
            | Self::Unavailable { effect, .. }
            | Self::Backend { effect, .. } => *effect,
            Self::Corrupt { operation, .. } => Effect::Unknown.of(*operation),
        }
    }

    /// Whether repeating the call as it is can succeed.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::InvalidInput { .. } | Self::Corrupt { .. } => false,
            Self::Overloaded { .. } | Self::TimedOut { .. } | Self::Unavailable { .. } => true,
            Self::Backend { retryable, .. } => *retryable,
        }
    }
}

impl Effect {
    /// A read has no effect to be unsure of.
    fn of(self, operation: Operation) -> Self {
        if operation.is_write() { self } else { Self::NotApplied }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotApplied => "not applied",
            Self::Unknown => "unknown",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("connection reset by peer")]
    struct Driver;

    #[test]
    fn display_says_what_to_try_and_never_repeats_the_source() {
        let error = Error::backend(Operation::Write, Effect::Unknown, true, Driver);
        assert_eq!(
            error.to_string(),
            "write failed in the backend: it may have taken effect, repeating it is safe"
        );
        assert_eq!(
            error.source().map(ToString::to_string).as_deref(),
            Some("connection reset by peer")
        );
    }

    #[test]
    fn an_unavailable_store_names_its_source_when_there_is_one() {
        let with = Error::unavailable(Operation::Write, Effect::Unknown, Some(Arc::new(Driver)));
        assert!(with.source().is_some());
        assert!(Error::unavailable(Operation::Ready, Effect::NotApplied, None).source().is_none());
    }

    #[test]
    fn a_failed_read_never_took_effect() {
        let reads = Operation::ALL.iter().filter(|operation| !operation.is_write());
        for &operation in reads {
            let after = Duration::from_secs(1);
            let error = Error::timed_out(operation, after, Effect::Unknown);
            assert_eq!(error.effect(), Effect::NotApplied, "{operation}");
        }
    }

    #[test]
    fn only_what_can_succeed_is_worth_repeating() {
        let write = Operation::Write;
        assert!(Error::overloaded(write).is_retryable());
        assert_eq!(Error::overloaded(write).effect(), Effect::NotApplied);
        assert!(Error::timed_out(write, Duration::ZERO, Effect::Unknown).is_retryable());
        assert!(Error::unavailable(write, Effect::NotApplied, None).is_retryable());
        assert!(!Error::invalid_input("limit", "is zero").is_retryable());
        assert!(!Error::corrupt(write, "a negative count").is_retryable());
        assert!(!Error::backend(write, Effect::Unknown, false, Driver).is_retryable());
    }
}
