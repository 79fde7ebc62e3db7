//! The options of a call.

use std::time::Duration;

use crate::{Consistency, Deadline, SessionToken};

/// The options of a read: how fresh its answer must be, and until when it is of use.
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
    /// When the answer is of no use any more. `None` leaves that to the store's configuration.
    pub deadline: Option<Deadline>,
    /// Whether the call comes from a queue with a bound of its own. A limit of concurrent calls lets
    /// it wait for its turn instead of refusing it.
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

    /// A read at [`Consistency::Strong`].
    #[must_use]
    pub fn strong() -> Self {
        Self::default()
    }

    /// A read at [`Consistency::Session`], which sees the writes behind the token.
    #[must_use]
    pub fn session(token: SessionToken) -> Self {
        Consistency::Session(token).into()
    }

    /// A read at [`Consistency::Bounded`], whose answer is at most this old.
    #[must_use]
    pub fn bounded(age: Duration) -> Self {
        Consistency::Bounded(age).into()
    }

    /// A read at [`Consistency::Eventual`].
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

    /// Marks the call as one from a queue with a bound of its own.
    ///
    /// Such a call stands for many others, and their number is bounded already. A limit of concurrent
    /// calls therefore lets it wait for its turn instead of refusing it as overloaded.
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

/// The options of a write or a step of a removal: until when its answer is of use.
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
    /// When the answer is of no use any more. A write that has not begun by then is not done.
    /// `None` leaves that to the store's configuration.
    pub deadline: Option<Deadline>,
    /// Whether the call comes from a queue with a bound of its own. A limit of concurrent calls lets
    /// it wait for its turn instead of refusing it.
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

    /// Marks the call as one from a queue with a bound of its own.
    ///
    /// Such a call stands for many others, and their number is bounded already. A limit of concurrent
    /// calls therefore lets it wait for its turn instead of refusing it as overloaded.
    #[must_use]
    pub fn with_queued(self) -> Self {
        Self { queued: true, ..self }
    }
}
