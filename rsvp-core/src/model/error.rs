//! Errors of calls, and the advice that they give to callers.

#[cfg(doc)]
use std::error::Error as StdError;
use std::time::Duration;

use super::effect::{Advice, Effect, Late};
use super::source::Source;
use crate::{Deadline, Operation};

/// The result of every fallible call of this library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The reason of a failed call.
///
/// Three methods tell a caller how to go on:
///
/// - [`effect`](Self::effect) tells whether the call took effect.
/// - [`is_retryable`](Self::is_retryable) tells whether a repetition can succeed.
/// - [`retry_at`](Self::retry_at) gives the earliest moment for a repetition.
///
/// `Display` names the operation and gives advice.
/// It does not print the [`source`](StdError::source),
/// the error of the driver or of a part of the store.
///
/// ```
/// use rsvp_core::{Effect, Error, Operation};
///
/// let error = Error::unavailable(Operation::Write, Effect::Unknown, None);
/// assert!(error.is_retryable() && error.retry_at().is_none());
/// assert_eq!(
///     error.to_string(),
///     "write found the store unavailable: it may have taken effect, repeating it is safe",
/// );
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller's input is wrong.
    #[error("invalid {field}: {reason}")]
    #[non_exhaustive]
    InvalidInput {
        /// The name of the input: `user_id`, `event_id`, `cursor`, `limit`, `session_token`, `url`,
        /// ….
        field: &'static str,
        /// The mistake, and the expected form.
        reason: String,
    },

    /// The store refused the call before any effect,
    /// because too many calls are in flight or queued.
    #[error("{operation} was refused, too many calls are in flight: {}", Advice(*operation, Effect::NotApplied, true))]
    #[non_exhaustive]
    Overloaded {
        /// The refused operation.
        operation: Operation,
        /// The refusal of a part, for a store of several parts.
        source: Option<Source>,
    },

    /// No answer came in time.
    #[error("{}", Late(*operation, *after, *effect))]
    #[non_exhaustive]
    TimedOut {
        /// The operation without an answer.
        operation: Operation,
        /// The time that the store waited.
        after: Duration,
        /// Whether the call took effect.
        effect: Effect,
        /// The timeout of a part, for a store of several parts.
        source: Option<Source>,
    },

    /// The store cannot be reached, or does not accept this call now.
    #[error("{operation} found the store unavailable: {}", Advice(*operation, *effect, true))]
    #[non_exhaustive]
    Unavailable {
        /// The failed operation.
        operation: Operation,
        /// Whether the call took effect.
        effect: Effect,
        /// The error of the driver.
        source: Option<Source>,
    },

    /// The host has closed the store.
    #[error("{operation} was refused, the store is closed: open it again")]
    #[non_exhaustive]
    Closed {
        /// The refused operation.
        operation: Operation,
    },

    /// The store holds illegal data, or gave an illegal answer.
    #[error("{operation} found corrupt data, which needs repair: {what}")]
    #[non_exhaustive]
    Corrupt {
        /// The operation that found the data.
        operation: Operation,
        /// A description of the data.
        what: String,
    },

    /// Any other error of the backend.
    #[error("{operation} failed: {}", Advice(*operation, *effect, *retryable))]
    #[non_exhaustive]
    Backend {
        /// The failed operation.
        operation: Operation,
        /// Whether the call took effect.
        effect: Effect,
        /// Whether a repetition can succeed.
        retryable: bool,
        /// The error of the driver.
        source: Source,
    },
}

impl Error {
    /// Makes the error for wrong input. `field` names the input.
    /// `reason` describes the mistake, and must not repeat a secret.
    pub fn invalid_input(field: &'static str, reason: impl Into<String>) -> Self {
        Self::InvalidInput { field, reason: reason.into() }
    }

    /// Makes the error for a call refused because of overload, before any effect.
    pub fn overloaded(operation: Operation) -> Self {
        Self::Overloaded { operation, source: None }
    }

    /// Makes the error for a call that a rule of a layer forbids. `source` is the rule.
    /// Nothing was applied, and a repetition will fail again.
    pub fn refused(operation: Operation, source: impl Into<Source>) -> Self {
        Self::backend(operation, Effect::NotApplied, false, source)
    }

    /// Makes the error for a call to a closed store.
    pub fn closed(operation: Operation) -> Self {
        Self::Closed { operation }
    }

    /// Makes the error for a call that was not sent,
    /// because its deadline had passed or was too near.
    pub fn too_late(operation: Operation) -> Self {
        Self::timed_out(operation, Duration::ZERO, Effect::NotApplied)
    }

    /// Makes the error for a call without an answer within `after`.
    /// A read, or a call that was not sent, is [`Effect::NotApplied`].
    /// A write that was sent is [`Effect::Unknown`].
    pub fn timed_out(operation: Operation, after: Duration, effect: Effect) -> Self {
        Self::TimedOut { operation, after, effect: effect.of(operation), source: None }
    }

    /// Makes the error for a call that the engine itself gave up, for instance
    /// after waiting for a lock. `source` is the engine's error.
    pub fn gave_up(
        operation: Operation,
        after: Duration,
        effect: Effect,
        source: impl Into<Source>,
    ) -> Self {
        let (effect, source) = (effect.of(operation), Some(source.into()));
        Self::TimedOut { operation, after, effect, source }
    }

    /// Makes the error for a store that cannot be reached or does not accept the call now.
    pub fn unavailable(operation: Operation, effect: Effect, source: Option<Source>) -> Self {
        Self::Unavailable { operation, effect: effect.of(operation), source }
    }

    /// Makes the error for corrupt data. Repeating the call will not help.
    pub fn corrupt(operation: Operation, what: impl Into<String>) -> Self {
        Self::Corrupt { operation, what: what.into() }
    }

    /// Makes the error for any other failure of a backend.
    pub fn backend(
        operation: Operation,
        effect: Effect,
        retryable: bool,
        source: impl Into<Source>,
    ) -> Self {
        let source = source.into();
        Self::Backend { operation, effect: effect.of(operation), retryable, source }
    }

    /// Returns the name of the kind in snake case, for the label of a metric.
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

    /// Returns whether the failed call took effect. A failed read never did.
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

    /// Returns the failed operation.
    /// `None` for [`InvalidInput`](Self::InvalidInput), because wrong input is refused
    /// before any operation starts.
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

    /// Returns the earliest moment for a repetition, if the effect is [pending](Effect::Pending).
    pub fn retry_at(&self) -> Option<Deadline> {
        match self.effect() {
            Effect::Pending(until) => Some(until),
            _ => None,
        }
    }

    /// Replaces the effect, for a call of several parts. `effect` is that of the whole call.
    ///
    /// Example: a removal runs in steps over many shards.
    /// The failure of a step leaves the whole removal [`Effect::Unknown`] once an earlier step has
    /// taken effect.
    ///
    /// ```
    /// use rsvp_core::{Effect, Error, Operation};
    ///
    /// let step = Error::unavailable(Operation::RemoveEvent, Effect::NotApplied, None);
    /// assert_eq!(step.with_effect(Effect::Unknown).effect(), Effect::Unknown);
    /// ```
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

    /// Replaces the operation, for a layer that asks its store before it runs the call.
    ///
    /// ```
    /// use rsvp_core::{Error, Operation};
    ///
    /// let error = Error::overloaded(Operation::EventsOf).with_operation(Operation::RemoveUser);
    /// assert_eq!(error.operation(), Some(Operation::RemoveUser));
    /// ```
    #[must_use]
    pub fn with_operation(mut self, to: Operation) -> Self {
        match &mut self {
            Self::InvalidInput { .. } => {}
            Self::Overloaded { operation, .. }
            | Self::Closed { operation }
            | Self::Corrupt { operation, .. } => *operation = to,
            Self::TimedOut { operation, effect, .. }
            | Self::Unavailable { operation, effect, .. }
            | Self::Backend { operation, effect, .. } => {
                (*operation, *effect) = (to, effect.of(to))
            }
        }
        self
    }

    /// Returns whether repeating the call can succeed. A call with a deadline needs a later one.
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
    use std::error::Error as _;

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
