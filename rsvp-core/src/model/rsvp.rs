//! RSVPs, writes, and the answers to writes.

use std::fmt;

#[cfg(feature = "serde")]
use super::serial::Fields;
use crate::{EventId, Result, SessionToken, UserId};

/// The pair (user, event): this user is coming to this event.
///
/// ```
/// use rsvp_core::{EventId, Rsvp, UserId};
///
/// let rsvp = Rsvp::new(UserId::new("ann")?, EventId::from(101));
/// assert_eq!(rsvp.event.as_str(), "101");
/// # Ok::<(), rsvp_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Rsvp {
    /// The attendee.
    pub user: UserId,
    /// The event.
    pub event: EventId,
}

impl Rsvp {
    /// Makes the pair of `user` and `event`.
    pub fn new(user: UserId, event: EventId) -> Self {
        Self { user, event }
    }
}

/// The action of a [`Write`] on its pair.
///
/// ```
/// use rsvp_core::{Action, EventId, Rsvp, UserId, Write};
///
/// let pair = Rsvp::new(UserId::from(1), EventId::from(2));
/// let write = Write::new(Action::Cancel, pair);
/// assert_eq!(write, Write::cancel(UserId::from(1), EventId::from(2)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Action {
    /// Creates the RSVP.
    Rsvp,
    /// Deletes the RSVP.
    Cancel,
}

/// One write of a batch.
///
/// With the feature `serde` it has the fields `action`, `user` and `event`.
///
/// ```
/// use rsvp_core::{EventId, Result, RsvpStore, UserId, Write, WriteOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let store = rsvp_memory::MemoryStore::new();
/// let fair = EventId::new("fair")?;
/// let writes = [
///     Write::rsvp(UserId::from(1), fair.clone()),
///     Write::cancel(UserId::from(2), fair),
/// ];
/// let receipt = store.write_batch(&writes, &WriteOptions::default()).await?;
/// assert_eq!(receipt.results.len(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(from = "Fields", into = "Fields"))]
pub struct Write {
    /// The action.
    pub action: Action,
    /// The pair.
    pub rsvp: Rsvp,
}

impl Write {
    /// Makes a write with this action on a pair.
    pub fn new(action: Action, rsvp: Rsvp) -> Self {
        Self { action, rsvp }
    }

    /// Makes the write "`user` is coming to `event`".
    pub fn rsvp(user: UserId, event: EventId) -> Self {
        Self { action: Action::Rsvp, rsvp: Rsvp::new(user, event) }
    }

    /// Makes the write "`user` is not coming to `event`".
    pub fn cancel(user: UserId, event: EventId) -> Self {
        Self { action: Action::Cancel, rsvp: Rsvp::new(user, event) }
    }
}

/// The change made by a write. The count of an event moves by exactly its `Applied` outcomes.
///
/// ```
/// use rsvp_core::{EventId, Outcome, Result, RsvpStoreExt, UserId};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let store = rsvp_memory::MemoryStore::new();
/// let (user, event) = (UserId::from(1), EventId::from(2));
/// assert_eq!(store.rsvp(&user, &event).await?.outcome, Outcome::Applied);
/// assert_eq!(store.rsvp(&user, &event).await?.outcome, Outcome::Unchanged);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Outcome {
    /// The write added or cancelled the RSVP.
    Applied,
    /// The RSVP was in the desired state already.
    Unchanged,
}

impl Outcome {
    /// Returns `Applied` if `changed`.
    pub fn from_changed(changed: bool) -> Self {
        if changed { Self::Applied } else { Self::Unchanged }
    }

    /// Returns the name in snake case, for an API or the label of a metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
        }
    }

    /// Returns whether the write changed anything.
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
///
/// ```
/// use rsvp_core::{Outcome, Written};
///
/// let written = Written::new(Outcome::Unchanged).after_repetition();
/// // An earlier attempt may have applied the write, so the mail may not have been sent.
/// assert!(written.repeated && !written.outcome.is_applied());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Written {
    /// The change made by the write.
    pub outcome: Outcome,
    /// Whether the write was repeated after an attempt of unknown effect.
    /// `Unchanged` then says nothing about the state before the call,
    /// because the earlier attempt may have applied the write.
    #[cfg_attr(feature = "serde", serde(default))]
    pub repeated: bool,
}

impl Written {
    /// Makes the answer to a write with a single attempt.
    #[must_use]
    pub fn new(outcome: Outcome) -> Self {
        Self { outcome, repeated: false }
    }

    /// Marks the answer as one after an earlier attempt of unknown effect.
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
///
/// ```
/// use rsvp_core::{Consistency, EventId, Result, RsvpStoreExt, UserId};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let store = rsvp_memory::MemoryStore::new();
/// let (user, event) = (UserId::from(1), EventId::from(2));
/// let receipt = store.rsvp(&user, &event).await?;
/// if receipt.outcome.is_applied() {
///     // Send the mail.
/// }
/// let own_writes = Consistency::Session(receipt.token);
/// assert!(store.has_rsvped_with(&user, &event, own_writes).await?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Receipt {
    /// The change made by the write.
    pub outcome: Outcome,
    /// Whether the write was repeated after an attempt of unknown effect,
    /// see [`Written::repeated`].
    ///
    /// A host that sends a mail for every new RSVP sends it for `Applied`.
    /// For `Unchanged` with `repeated`, the host looks up whether it has sent the mail.
    #[cfg_attr(feature = "serde", serde(default))]
    pub repeated: bool,
    /// The token of the write.
    /// Reads at [`Consistency::Session`](crate::Consistency::Session) with it see the write.
    pub token: SessionToken,
}

impl Receipt {
    /// Makes the receipt of one write of a batch.
    #[must_use]
    pub fn new(written: Written, token: SessionToken) -> Self {
        let Written { outcome, repeated } = written;
        Self { outcome, repeated, token }
    }
}

/// The answer to a batch of writes, with a result for each.
///
/// ```
/// use rsvp_core::{Outcome, Result, RsvpStore, Write, WriteOptions};
///
/// /// Returns the writes that need another attempt.
/// async fn import(store: &dyn RsvpStore, writes: Vec<Write>) -> Result<Vec<Write>> {
///     let receipt = store.write_batch(&writes, &WriteOptions::default()).await?;
///     let failed = writes.into_iter().zip(receipt.results).filter(|(_, result)| result.is_err());
///     Ok(failed.map(|(write, _)| write).collect())
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// # assert!(import(&rsvp_memory::MemoryStore::new(), Vec::new()).await?.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct BatchReceipt {
    /// One result for each write, in the order of the writes.
    pub results: Vec<Result<Written>>,
    /// The token of the batch. Reads at [`Consistency::Session`](crate::Consistency::Session)
    /// with it see every acknowledged write of the batch.
    pub token: SessionToken,
}

impl BatchReceipt {
    /// Makes the answer to a batch.
    #[must_use]
    pub fn new(results: Vec<Result<Written>>, token: SessionToken) -> Self {
        Self { results, token }
    }

    /// Makes the answer to a batch without failed writes.
    pub fn acknowledged(outcomes: impl IntoIterator<Item = Outcome>, token: SessionToken) -> Self {
        let results = outcomes.into_iter().map(|outcome| Ok(Written::new(outcome))).collect();
        Self { results, token }
    }

    /// Returns the outcome of every write, if all were acknowledged.
    ///
    /// # Errors
    ///
    /// The error of the first failed write.
    pub fn outcomes(&self) -> Result<Vec<Outcome>> {
        self.results.iter().map(|result| Ok(result.clone()?.outcome)).collect()
    }
}

/// The answer to one bounded step of a removal.
///
/// ```
/// use rsvp_core::{EventId, PageLimit, Result, RsvpStore, WriteOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let store = rsvp_memory::MemoryStore::new();
/// let (event, limit) = (EventId::from(1), PageLimit::new(500)?);
/// // Between two steps a host may pause, or report its progress.
/// while store.remove_event_step(&event, limit, &WriteOptions::default()).await?.more {}
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RemovalStep {
    /// The number of RSVPs removed by this step.
    pub removed: u64,
    /// Whether another step is needed.
    pub more: bool,
    /// Whether the step was repeated after an attempt of unknown effect.
    /// `removed` then lacks the RSVPs removed by the earlier attempt.
    #[cfg_attr(feature = "serde", serde(default))]
    pub repeated: bool,
    /// The token of the step.
    /// Reads at [`Consistency::Session`](crate::Consistency::Session) with it see the removal.
    pub token: SessionToken,
}

impl RemovalStep {
    /// Makes the answer to a step.
    #[must_use]
    pub fn new(removed: u64, more: bool, token: SessionToken) -> Self {
        Self { removed, more, repeated: false, token }
    }
}

/// The answer to a finished removal.
///
/// ```
/// use rsvp_core::{Result, RsvpStoreExt, UserId};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let store = rsvp_memory::MemoryStore::new();
/// let removal = store.remove_user(&UserId::from(1)).await?;
/// assert_eq!(removal.removed, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Removal {
    /// The number of RSVPs removed.
    pub removed: u64,
    /// Whether a step was repeated after an attempt of unknown effect,
    /// see [`RemovalStep::repeated`].
    #[cfg_attr(feature = "serde", serde(default))]
    pub repeated: bool,
    /// The token of the removal.
    /// Reads at [`Consistency::Session`](crate::Consistency::Session) with it see the removal.
    pub token: SessionToken,
}
