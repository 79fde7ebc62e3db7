//! What can go wrong, and what a caller may do about it.

use std::error::Error as StdError;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use super::effect::{Advice, Effect, Late};
use crate::{Deadline, Operation};

/// The result of every fallible call of this library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The error behind an [`Error`], shared so that every caller of a failed batch can have it.
///
/// [`Error::source`](StdError::source) gives the error itself, which can be downcast to the
/// driver's type. Made from any error by `From`.
#[derive(Clone)]
pub struct Source(Arc<dyn StdError + Send + Sync + 'static>);

impl<E: StdError + Send + Sync + 'static> From<E> for Source {
    fn from(error: E) -> Self {
        Self(Arc::new(error))
    }
}

// Not an error itself: `source()` must lead to the driver's, past the pointer.
impl Deref for Source {
    type Target = dyn StdError + Send + Sync + 'static;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a call failed.
///
/// Three questions are answered in code: [`effect`](Self::effect) tells whether the call took
/// effect, [`is_retryable`](Self::is_retryable) whether repeating it can succeed, and
/// [`retry_at`](Self::retry_at) from when on. `Display` says
/// what was being done and what to try; the driver's own error, or that of a part of the store, is the
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
    #[error("{operation} was refused, too many calls are in flight: {}", Advice(*operation, Effect::NotApplied, true))]
    #[non_exhaustive]
    Overloaded {
        /// The refused operation.
        operation: Operation,
        /// Which part of the store refused it, where it has parts.
        source: Option<Source>,
    },

    /// No answer came in time.
    #[error("{}", Late(*operation, *after, *effect))]
    #[non_exhaustive]
    TimedOut {
        /// The operation that was waited for.
        operation: Operation,
        /// How long it was waited for.
        after: Duration,
        /// Whether it took effect.
        effect: Effect,
        /// Which part of the store it was waited for, where it has parts.
        source: Option<Source>,
    },

    /// The store cannot be reached, or does not take this call now.
    #[error("{operation} found the store unavailable: {}", Advice(*operation, *effect, true))]
    #[non_exhaustive]
    Unavailable {
        /// The failed operation.
        operation: Operation,
        /// Whether it took effect.
        effect: Effect,
        /// What the driver reported.
        source: Option<Source>,
    },

    /// The host has closed the store.
    #[error("{operation} was refused, the store is closed: open it again")]
    #[non_exhaustive]
    Closed {
        /// The refused operation.
        operation: Operation,
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
    #[error("{operation} failed: {}", Advice(*operation, *effect, *retryable))]
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
        Self::Overloaded { operation, source: None }
    }

    /// A call that a rule of a layer forbids, with the rule as its source: nothing was applied, and
    /// repeating it will not help.
    pub fn refused(operation: Operation, source: impl Into<Source>) -> Self {
        Self::backend(operation, Effect::NotApplied, false, source)
    }

    /// A call to a store that the host has closed.
    pub fn closed(operation: Operation) -> Self {
        Self::Closed { operation }
    }

    /// A call that was not sent, because its deadline had passed or was too near.
    pub fn too_late(operation: Operation) -> Self {
        Self::timed_out(operation, Duration::ZERO, Effect::NotApplied)
    }

    /// No answer within `after`. A read or a call that was not sent yet is
    /// [`Effect::NotApplied`], a write that was sent is [`Effect::Unknown`].
    pub fn timed_out(operation: Operation, after: Duration, effect: Effect) -> Self {
        Self::TimedOut { operation, after, effect: effect.of(operation), source: None }
    }

    /// As [`timed_out`](Self::timed_out), of an engine that gave up itself, and says why in `source`:
    /// for instance after waiting for a lock.
    pub fn gave_up(
        operation: Operation,
        after: Duration,
        effect: Effect,
        source: impl Into<Source>,
    ) -> Self {
        let (effect, source) = (effect.of(operation), Some(source.into()));
        Self::TimedOut { operation, after, effect, source }
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
        source: impl Into<Source>,
    ) -> Self {
        let source = source.into();
        Self::Backend { operation, effect: effect.of(operation), retryable, source }
    }

    /// The name of the kind in snake case, as in a metric's label.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::InvalidInput { .. } => "invalid_input",
            Self::Overloaded { .. } => "overloaded",
            Self::TimedOut { .. } => "timed_out",
            Self::Unavailable { .. } => "unavailable",
            Self::Closed { .. } => "closed",
            Self::Corrupt { .. } => "corrupt",
            Self::Backend { .. } => "backend",
        }
    }

    /// Whether the failed call took effect. A failed read never did.
    pub fn effect(&self) -> Effect {
        match self {
            Self::InvalidInput { .. } | Self::Overloaded { .. } | Self::Closed { .. } => {
                Effect::NotApplied
            }
            Self::TimedOut { effect, .. }
            | Self::Unavailable { effect, .. }
            | Self::Backend { effect, .. } => *effect,
            Self::Corrupt { operation, .. } => Effect::Unknown.of(*operation),
        }
    }

    /// The operation that failed; `None` for [`InvalidInput`](Self::InvalidInput), which is
    /// refused before there is one.
    pub fn operation(&self) -> Option<Operation> {
        match self {
            Self::InvalidInput { .. } => None,
            Self::Overloaded { operation, .. }
            | Self::TimedOut { operation, .. }
            | Self::Unavailable { operation, .. }
            | Self::Closed { operation }
            | Self::Corrupt { operation, .. }
            | Self::Backend { operation, .. } => Some(*operation),
        }
    }

    /// The moment before which the call must not be repeated, if its effect is
    /// [pending](Effect::Pending).
    pub fn retry_at(&self) -> Option<Deadline> {
        match self.effect() {
            Effect::Pending(until) => Some(until),
            _ => None,
        }
    }

    /// The same error of a call of which this was only a part: `effect` is that of the whole.
    ///
    /// For a call that is made of several, such as the steps of a removal over many shards: after a
    /// part has taken effect, the failure of the next one leaves the whole
    /// [`Effect::Unknown`].
    #[must_use]
    pub fn with_effect(self, effect: Effect) -> Self {
        match self {
            error if error.effect() == effect => error,
            Self::TimedOut { operation, after, source, .. } => {
                Self::TimedOut { operation, after, effect: effect.of(operation), source }
            }
            Self::Unavailable { operation, source, .. } => {
                Self::unavailable(operation, effect, source)
            }
            Self::Backend { operation, retryable, source, .. } => {
                Self::Backend { operation, effect: effect.of(operation), retryable, source }
            }
            Self::Overloaded { operation, source } if operation.is_write() => {
                let source = source.unwrap_or_else(|| Self::overloaded(operation).into());
                Self::unavailable(operation, effect, Some(source))
            }
            Self::Closed { operation } if operation.is_write() => {
                Self::backend(operation, effect, false, Self::closed(operation))
            }
            error @ (Self::Overloaded { .. }
            | Self::InvalidInput { .. }
            | Self::Closed { .. }
            | Self::Corrupt { .. }) => error,
        }
    }

    /// Whether repeating the call as it is can succeed, with a later deadline if it had one.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::InvalidInput { .. } | Self::Closed { .. } | Self::Corrupt { .. } => false,
            Self::Overloaded { .. } | Self::TimedOut { .. } | Self::Unavailable { .. } => true,
            Self::Backend { retryable, .. } => *retryable,
        }
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
            "write failed: it may have taken effect, repeating it is safe"
        );
        assert_eq!(
            error.source().map(ToString::to_string).as_deref(),
            Some("connection reset by peer")
        );
    }

    #[test]
    fn an_unavailable_store_names_its_source_when_there_is_one() {
        let with = Error::unavailable(Operation::Write, Effect::Unknown, Some(Driver.into()));
        assert!(with.source().is_some_and(|source| source.is::<Driver>()), "can be downcast");
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
    fn a_part_that_was_refused_leaves_the_whole_unknown() {
        let write = Operation::Write;
        for part in [
            Error::overloaded(write),
            Error::closed(write),
            Error::timed_out(write, Duration::ZERO, Effect::NotApplied),
            Error::unavailable(write, Effect::NotApplied, Some(Driver.into())),
            Error::backend(write, Effect::NotApplied, true, Driver),
        ] {
            let whole = part.clone().with_effect(Effect::Unknown);
            assert_eq!(whole.effect(), Effect::Unknown, "{part:?}");
            assert_eq!(whole.is_retryable(), part.is_retryable(), "{part:?}");
        }
    }

    #[test]
    fn a_read_that_was_refused_in_part_was_refused() {
        let part = Error::overloaded(Operation::RsvpCount);
        let whole = part.with_effect(Effect::Unknown);
        assert!(matches!(whole, Error::Overloaded { .. }), "{whole:?}");
        assert_eq!(whole.effect(), Effect::NotApplied);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pending_effect_says_how_long_and_outweighs_the_others() {
        let pending = Effect::Pending(Deadline::after(Duration::from_secs(2)));
        assert!(!pending.is_settled() && Effect::Unknown.is_settled());
        assert_eq!(Effect::Unknown.and(pending), pending);
        assert_eq!(pending.and(Effect::NotApplied), pending);
        let error = Error::unavailable(Operation::Write, pending, None);
        assert_eq!(error.retry_at().map(Effect::Pending), Some(pending));
        let shown = error.to_string();
        assert!(shown.contains("it may still take effect within 2000ms"), "{shown}");
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
