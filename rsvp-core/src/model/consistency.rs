//! How fresh a read must be, and how old a count may be.

use std::time::Duration;

use crate::SessionToken;

/// How fresh a read must be. A store may answer fresher, never staler.
///
/// A store without replicas or caches answers every level strongly.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Consistency {
    /// Sees every write that was acknowledged before the read began, by whomever.
    /// The default of [`has_rsvped`](crate::RsvpStoreExt::has_rsvped).
    #[default]
    Strong,
    /// Sees at least the writes behind the token: read-your-writes through replicas and caches,
    /// across servers.
    ///
    /// Only the store that issued a token can judge it: one whose engine has no positions issues
    /// tokens that hold none. A cache in front of it must pass such reads through, unless it knows
    /// from the store that its answer has each position of the token.
    Session(SessionToken),
    /// Answers a state that was current at most this long before the read began.
    /// The default of [`rsvp_count`](crate::RsvpStoreExt::rsvp_count), with
    /// [`DEFAULT_COUNT_BOUND`](Self::DEFAULT_COUNT_BOUND).
    Bounded(Duration),
    /// Answers any state that was committed once. For dashboards and exports.
    Eventual,
}

impl Consistency {
    /// How stale a count may be unless the caller says otherwise: 5 seconds.
    pub const DEFAULT_COUNT_BOUND: Duration = Duration::from_secs(5);
}

/// How many RSVPs an event has, and how old that knowledge may be.
///
/// With the feature `serde` it has the fields `value` and `age_ms`, the age in milliseconds, rounded
/// up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Count {
    /// The number of RSVPs.
    pub value: u64,
    /// The number was exact at some moment that was no longer than this before the read began.
    /// Zero: it was exact while the read ran.
    #[cfg_attr(feature = "serde", serde(rename = "age_ms", with = "super::serial::milliseconds"))]
    pub age: Duration,
}

impl Count {
    /// A count that was exact while the read ran.
    pub fn fresh(value: u64) -> Self {
        Self::aged(value, Duration::ZERO)
    }

    /// A count that was exact at some moment no longer than `age` before the read began.
    pub fn aged(value: u64, age: Duration) -> Self {
        Self { value, age }
    }
}
