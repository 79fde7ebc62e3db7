//! An RSVP, the writes that make and unmake it, and what they answer.

use std::fmt;

#[cfg(feature = "serde")]
use super::serial::Fields;
use crate::{EventId, Result, SessionToken, UserId};

/// The pair (user, event): this user is coming to this event.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Rsvp {
    /// Who is coming.
    pub user: UserId,
    /// To what.
    pub event: EventId,
}

impl Rsvp {
    /// The pair of `user` and `event`.
    pub fn new(user: UserId, event: EventId) -> Self {
        Self { user, event }
    }
}

/// What a [`Write`] does to its pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Action {
    /// Afterwards the RSVP exists.
    Rsvp,
    /// Afterwards the RSVP does not exist.
    Cancel,
}

/// One write of a batch.
///
/// With the feature `serde` it has the fields `action`, `user` and `event`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(from = "Fields", into = "Fields"))]
pub struct Write {
    /// What to do.
    pub action: Action,
    /// To which pair.
    pub rsvp: Rsvp,
}

impl Write {
    /// A write that does `action` to a pair.
    pub fn new(action: Action, rsvp: Rsvp) -> Self {
        Self { action, rsvp }
    }

    /// `user` is coming to `event`.
    pub fn rsvp(user: UserId, event: EventId) -> Self {
        Self { action: Action::Rsvp, rsvp: Rsvp::new(user, event) }
    }

    /// `user` is not coming to `event`.
    pub fn cancel(user: UserId, event: EventId) -> Self {
        Self { action: Action::Cancel, rsvp: Rsvp::new(user, event) }
    }
}

/// What a write changed. The count of an event moves by exactly its `Applied` outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Outcome {
    /// The RSVP was added or cancelled by this write.
    Applied,
    /// It was so already.
    Unchanged,
}

impl Outcome {
    /// `Applied` if `changed`.
    pub fn from_changed(changed: bool) -> Self {
        if changed { Self::Applied } else { Self::Unchanged }
    }

    /// The name in snake case, as for an API or a metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
        }
    }

    /// Whether this write changed anything.
    pub fn is_applied(self) -> bool {
        self == Self::Applied
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The answer to one acknowledged write of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Written {
    /// Whether the write changed anything.
    pub outcome: Outcome,
    /// Whether the write was repeated after an attempt of unknown effect. `Unchanged` then does not
    /// mean that the RSVP was so before the call, since the earlier attempt may have applied it.
    #[cfg_attr(feature = "serde", serde(default))]
    pub repeated: bool,
}

impl Written {
    /// The answer to a write that was attempted once.
    #[must_use]
    pub fn new(outcome: Outcome) -> Self {
        Self { outcome, repeated: false }
    }

    /// The same answer after an earlier attempt of unknown effect.
    #[must_use]
    pub fn after_repetition(self) -> Self {
        Self { repeated: true, ..self }
    }
}

impl From<Outcome> for Written {
    fn from(outcome: Outcome) -> Self {
        Self::new(outcome)
    }
}

/// The receipt of one acknowledged write.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Receipt {
    /// Whether the write changed anything.
    pub outcome: Outcome,
    /// Whether the write was repeated after an attempt of unknown effect: see
    /// [`Written::repeated`]. A host that sends a mail for every new RSVP sends it for `Applied`,
    /// and looks up whether it was sent for `Unchanged` that was repeated.
    #[cfg_attr(feature = "serde", serde(default))]
    pub repeated: bool,
    /// Reads at [`Consistency::Session`](crate::Consistency::Session) with it see the write.
    pub token: SessionToken,
}

impl Receipt {
    /// The receipt of one write of a batch.
    #[must_use]
    pub fn new(written: Written, token: SessionToken) -> Self {
        let Written { outcome, repeated } = written;
        Self { outcome, repeated, token }
    }
}

/// The answer to a batch of writes, with a result for each.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct BatchReceipt {
    /// One result per write, in the order of the writes.
    pub results: Vec<Result<Written>>,
    /// Reads at [`Consistency::Session`](crate::Consistency::Session) with it see every
    /// acknowledged write of the batch.
    pub token: SessionToken,
}

impl BatchReceipt {
    /// The answer to a batch.
    #[must_use]
    pub fn new(results: Vec<Result<Written>>, token: SessionToken) -> Self {
        Self { results, token }
    }

    /// The answer to a batch of which every write was acknowledged.
    pub fn acknowledged(outcomes: impl IntoIterator<Item = Outcome>, token: SessionToken) -> Self {
        let results = outcomes.into_iter().map(|outcome| Ok(Written::new(outcome))).collect();
        Self { results, token }
    }

    /// The outcome of every write, if all were acknowledged.
    ///
    /// # Errors
    ///
    /// The error of the first write that failed.
    pub fn outcomes(&self) -> Result<Vec<Outcome>> {
        self.results.iter().map(|result| Ok(result.clone()?.outcome)).collect()
    }
}

/// The answer to one bounded step of a removal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RemovalStep {
    /// The number of RSVPs that this step removed.
    pub removed: u64,
    /// Whether another step is needed.
    pub more: bool,
    /// Whether the step was repeated after an attempt of unknown effect. `removed` then lacks the
    /// RSVPs that the earlier attempt may have removed.
    #[cfg_attr(feature = "serde", serde(default))]
    pub repeated: bool,
    /// Reads at [`Consistency::Session`](crate::Consistency::Session) with it see the removal.
    pub token: SessionToken,
}

impl RemovalStep {
    /// The answer to a step.
    #[must_use]
    pub fn new(removed: u64, more: bool, token: SessionToken) -> Self {
        Self { removed, more, repeated: false, token }
    }
}

/// The answer to a finished removal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Removal {
    /// The number of RSVPs that it removed.
    pub removed: u64,
    /// Whether one of its steps was repeated after an attempt of unknown effect: see
    /// [`RemovalStep::repeated`].
    #[cfg_attr(feature = "serde", serde(default))]
    pub repeated: bool,
    /// Reads at [`Consistency::Session`](crate::Consistency::Session) with it see the removal.
    pub token: SessionToken,
}
