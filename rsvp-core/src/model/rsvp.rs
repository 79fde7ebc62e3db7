//! An RSVP, the writes that make and unmake it, and what they answer.

use std::fmt;

use crate::{EventId, SessionToken, UserId};

/// The pair (user, event): this user is coming to this event.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
pub enum Action {
    /// Afterwards the RSVP exists.
    Rsvp,
    /// Afterwards the RSVP does not exist.
    Cancel,
}

/// One write of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Write {
    /// What to do.
    pub action: Action,
    /// To which pair.
    pub rsvp: Rsvp,
}

impl Write {
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

/// The answer to one acknowledged write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// What it changed.
    pub outcome: Outcome,
    /// Reads at [`Consistency::Session`](crate::Consistency::Session) with it see the write.
    pub token: SessionToken,
}

/// The answer to an acknowledged batch of writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchReceipt {
    /// One outcome per write, in the order of the writes.
    pub outcomes: Vec<Outcome>,
    /// Reads at [`Consistency::Session`](crate::Consistency::Session) with it see every write
    /// of the batch.
    pub token: SessionToken,
}

/// The answer to one bounded step of a removal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemovalStep {
    /// How many RSVPs this step removed.
    pub removed: u64,
    /// Whether another step is needed.
    pub more: bool,
    /// Reads at [`Consistency::Session`](crate::Consistency::Session) with it see the removal.
    pub token: SessionToken,
}

/// The answer to a finished removal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// How many RSVPs it removed.
    pub removed: u64,
    /// Reads at [`Consistency::Session`](crate::Consistency::Session) with it see the removal.
    pub token: SessionToken,
}
