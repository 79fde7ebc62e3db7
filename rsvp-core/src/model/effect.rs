//! The effect of a failed call.

use std::fmt;
use std::time::Duration;

use crate::{Deadline, Operation};

/// Whether a failed call took effect.
///
/// ```
/// use std::time::Duration;
/// use rsvp_core::{Deadline, Effect};
///
/// /// Says when a client may repeat its write.
/// fn advice(effect: Effect) -> String {
///     match effect {
///         Effect::NotApplied | Effect::Unknown => "repeat now".to_owned(),
///         Effect::Pending(until) => format!("repeat in {} s", until.remaining().as_secs() + 1),
///         other => format!("{other:?}"),
///     }
/// }
/// assert_eq!(advice(Effect::Unknown), "repeat now");
/// let pending = Effect::Pending(Deadline::after(Duration::from_secs(9)));
/// assert!(!pending.is_settled());
/// assert!(advice(pending).starts_with("repeat in"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Effect {
    /// Nothing of the call took effect, and nothing will.
    NotApplied,
    /// The call took effect, or it never will. The store does not know which.
    ///
    /// Repeating the call is safe.
    /// A repeated write may answer [`Unchanged`](crate::Outcome::Unchanged),
    /// because the first attempt had applied it.
    Unknown,
    /// The call may still take effect, until this moment at the latest.
    /// The store could not reach the server to learn the effect or to stop the call.
    ///
    /// Do not repeat the call before this moment.
    /// The store delays later writes of the same pair until then,
    /// unless it learns the effect earlier.
    Pending(Deadline),
}

impl Effect {
    /// Combines the effects of two parts of one call. The more uncertain one wins.
    ///
    /// ```
    /// use rsvp_core::Effect;
    ///
    /// assert_eq!(Effect::NotApplied.and(Effect::Unknown), Effect::Unknown);
    /// ```
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.max(other)
    }

    /// Returns whether the effect is decided. Nothing changes a settled effect.
    #[must_use]
    pub fn is_settled(self) -> bool {
        !matches!(self, Self::Pending(_))
    }

    /// Returns the name in snake case, for an API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotApplied => "not_applied",
            Self::Unknown => "unknown",
            Self::Pending(_) => "pending",
        }
    }

    /// Returns the effect of an operation.
    /// The effect of a read is always [`NotApplied`](Self::NotApplied).
    pub(super) fn of(self, operation: Operation) -> Self {
        if operation.is_write() { self } else { Self::NotApplied }
    }
}

/// The advice at the end of a message: whether the call took effect, and whether to repeat it.
pub(super) struct Advice(pub(super) Operation, pub(super) Effect, pub(super) bool);

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(operation, effect, retryable) = *self;
        f.write_str(match (operation.is_write(), effect, retryable) {
            (false, _, true) => "repeat it after a pause",
            (false, _, false) => "repeating it will not help",
            (true, Effect::NotApplied, true) => "nothing was applied, repeat it after a pause",
            (true, Effect::NotApplied, false) => {
                "nothing was applied, and repeating it will not help"
            }
            (true, Effect::Unknown, true) => "it may have taken effect, repeating it is safe",
            (true, Effect::Unknown, false) => {
                "it may have taken effect, and repeating it will not help"
            }
            (true, Effect::Pending(until), _) => {
                // In whole milliseconds, rounded up.
                let left = until.remaining().as_nanos().div_ceil(1_000_000);
                return write!(f, "it may still take effect within {left}ms, repeat it after that");
            }
        })
    }
}

/// The message of a call without an answer in time.
pub(super) struct Late(pub(super) Operation, pub(super) Duration, pub(super) Effect);

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(operation, after, effect) = *self;
        if after.is_zero() && effect == Effect::NotApplied {
            return write!(
                f,
                "{operation} was not sent, its deadline had passed: repeat it with a later deadline"
            );
        }
        let advice = Advice(operation, effect, true);
        write!(f, "{operation} got no answer within {after:?}: {advice}")
    }
}
