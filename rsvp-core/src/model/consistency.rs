//! Consistency levels of reads, and counts with their age.

use std::time::Duration;

use crate::SessionToken;

/// How fresh the answer of a read must be. A store may answer fresher, never staler.
///
/// A store without replicas or caches answers every level strongly.
///
/// | level | promise | use |
/// |---|---|---|
/// | `Strong` | every write acknowledged before the read began | a user's own state |
/// | `Session` | at least the writes of one session | read-your-writes through replicas and caches |
/// | `Bounded` | a state of bounded age | counts on a busy page |
/// | `Eventual` | any committed state | dashboards, exports |
///
/// ```
/// use std::time::Duration;
/// use rsvp_core::{Consistency, SessionToken};
///
/// assert_eq!(Consistency::default(), Consistency::Strong);
/// let own_writes = Consistency::Session(SessionToken::at(0x2a, 16));
/// let counter = Consistency::Bounded(Duration::from_secs(5));
/// assert_ne!(own_writes, counter);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Consistency {
    /// The read sees every write acknowledged before the read began, by any client.
    /// The default of [`has_rsvped`](crate::RsvpStoreExt::has_rsvped).
    #[default]
    Strong,
    /// The read sees at least the writes behind the token (read-your-writes).
    /// This holds across replicas, caches and servers.
    ///
    /// Only the store that issued a token can judge it.
    /// A store whose engine has no log positions issues empty tokens.
    /// A cache in front of such a store must pass session reads through to it.
    /// A cache may answer a session read only if its entry has reached each position of the token.
    Session(SessionToken),
    /// The read sees a state of at most this age.
    /// The age is measured from the beginning of the read.
    /// The default of [`rsvp_count`](crate::RsvpStoreExt::rsvp_count),
    /// with [`DEFAULT_COUNT_BOUND`](Self::DEFAULT_COUNT_BOUND).
    Bounded(Duration),
    /// The read sees any committed state, however old. For dashboards and exports.
    Eventual,
}

impl Consistency {
    /// The default bound on the age of a count: 5 seconds.
    pub const DEFAULT_COUNT_BOUND: Duration = Duration::from_secs(5);
}

/// The number of RSVPs of an event, with the greatest age of this number.
///
/// With the feature `serde` it has the fields `value` and `age_ms`.
/// `age_ms` is the age in milliseconds, rounded up.
///
/// ```
/// use std::time::Duration;
/// use rsvp_core::Count;
///
/// let cached = Count::aged(1200, Duration::from_secs(3));
/// assert_eq!(cached.value, 1200);
/// assert_eq!(Count::fresh(1201).age, Duration::ZERO);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Count {
    /// The number of RSVPs.
    pub value: u64,
    /// The number was exact at a moment at most this long before the read began.
    /// Zero means exact while the read ran.
    #[cfg_attr(feature = "serde", serde(rename = "age_ms", with = "super::serial::milliseconds"))]
    pub age: Duration,
}

impl Count {
    /// Makes a count that was exact while the read ran.
    pub fn fresh(value: u64) -> Self {
        Self::aged(value, Duration::ZERO)
    }

    /// Makes a count that was exact at most `age` before the read began.
    pub fn aged(value: u64, age: Duration) -> Self {
        Self { value, age }
    }
}
