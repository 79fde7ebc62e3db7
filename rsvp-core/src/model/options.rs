//! The options of a call.

use std::time::Duration;

use crate::{Consistency, Deadline, SessionToken};

/// The options of a read: the consistency of its answer, and its deadline.
///
/// Defaults to [`Consistency::Strong`] without a deadline.
///
/// ```
/// use std::time::Duration;
/// use rsvp_core::{Consistency, ReadOptions};
///
/// let options = ReadOptions::bounded(Duration::from_secs(5)).with_timeout(Duration::from_millis(100));
/// assert_eq!(options.consistency, Consistency::Bounded(Duration::from_secs(5)));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadOptions {
    /// How fresh the answer must be.
    pub consistency: Consistency,
    /// The deadline of the call. Defaults to `None`, so that the store's own timeouts apply.
    pub deadline: Option<Deadline>,
    /// Whether the call comes from a bounded queue.
    /// A concurrency limit lets such a call wait for its turn instead of refusing it.
    pub queued: bool,
}

impl ReadOptions {
    pub(crate) const STRONG: Self =
        Self { consistency: Consistency::Strong, deadline: None, queued: false };
    pub(crate) const DEFAULT_COUNT: Self = Self {
        consistency: Consistency::Bounded(Consistency::DEFAULT_COUNT_BOUND),
        deadline: None,
        queued: false,
    };

    /// Makes options for a read at [`Consistency::Strong`].
    #[must_use]
    pub fn strong() -> Self {
        Self::default()
    }

    /// Makes options for a read at [`Consistency::Session`]. It sees the writes behind the token.
    #[must_use]
    pub fn session(token: SessionToken) -> Self {
        Consistency::Session(token).into()
    }

    /// Makes options for a read at [`Consistency::Bounded`], with an answer of at most this age.
    #[must_use]
    pub fn bounded(age: Duration) -> Self {
        Consistency::Bounded(age).into()
    }

    /// Makes options for a read at [`Consistency::Eventual`].
    #[must_use]
    pub fn eventual() -> Self {
        Consistency::Eventual.into()
    }

    /// Sets how fresh the answer must be.
    #[must_use]
    pub fn with_consistency(self, consistency: Consistency) -> Self {
        Self { consistency, ..self }
    }

    /// Lowers the deadline to this one.
    #[must_use]
    pub fn with_deadline(self, deadline: Deadline) -> Self {
        Self { deadline: Deadline::earliest(self.deadline, Some(deadline)), ..self }
    }

    /// Lowers the deadline to this long from now.
    #[must_use]
    pub fn with_timeout(self, time: Duration) -> Self {
        self.with_deadline(Deadline::after(time))
    }

    /// Marks the call as one from a bounded queue.
    ///
    /// Such a call stands for many others, and its queue bounds their number already.
    /// A concurrency limit lets it wait for its turn until its deadline,
    /// instead of refusing it as overloaded at once.
    #[must_use]
    pub fn with_queued(self) -> Self {
        Self { queued: true, ..self }
    }
}

impl From<Consistency> for ReadOptions {
    fn from(consistency: Consistency) -> Self {
        Self { consistency, deadline: None, queued: false }
    }
}

/// The options of a write or of a step of a removal.
///
/// Defaults to no deadline.
///
/// ```
/// use std::time::Duration;
/// use rsvp_core::WriteOptions;
///
/// let options = WriteOptions::default().with_timeout(Duration::from_secs(1));
/// assert!(options.deadline.is_some());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriteOptions {
    /// The deadline of the call. A write that has not begun by then is dropped.
    /// Defaults to `None`, so that the store's own timeouts apply.
    pub deadline: Option<Deadline>,
    /// Whether the call comes from a bounded queue.
    /// A concurrency limit lets such a call wait for its turn instead of refusing it.
    pub queued: bool,
}

impl WriteOptions {
    pub(crate) const DEFAULT: Self = Self { deadline: None, queued: false };

    /// Lowers the deadline to this one.
    #[must_use]
    pub fn with_deadline(self, deadline: Deadline) -> Self {
        Self { deadline: Deadline::earliest(self.deadline, Some(deadline)), ..self }
    }

    /// Lowers the deadline to this long from now.
    #[must_use]
    pub fn with_timeout(self, time: Duration) -> Self {
        self.with_deadline(Deadline::after(time))
    }

    /// Marks the call as one from a bounded queue.
    ///
    /// Such a call stands for many others, and its queue bounds their number already.
    /// A concurrency limit lets it wait for its turn until its deadline,
    /// instead of refusing it as overloaded at once.
    #[must_use]
    pub fn with_queued(self) -> Self {
        Self { queued: true, ..self }
    }
}
