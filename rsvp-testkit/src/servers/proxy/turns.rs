//! Counting the turns of a conversation.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The round trips of clients through a [`Proxy`](super::Proxy).
///
/// A turn begins with the first data of a client on its connection, and with its first data
/// after an answer. A pipeline is one turn, whatever its length.
///
/// ```
/// use rsvp_testkit::servers::Turns;
///
/// /// Checks that a call costs one round trip on each of its connections.
/// fn is_single(turns: Turns) -> bool {
///     turns.longest <= 1
/// }
/// assert!(is_single(Turns::default().and(Turns::default())));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Turns {
    /// The turns of all connections together.
    pub total: usize,
    /// The greatest number of turns of one connection.
    pub longest: usize,
}

impl Turns {
    /// Adds other turns: the sum of the totals, and the longest of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { total: self.total + other.total, longest: self.longest.max(other.longest) }
    }
}

/// The turns of one connection.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    turns: AtomicUsize,
    /// Whether the client was the last to send.
    asked: AtomicBool,
}

impl Conversation {
    /// Records data of the client.
    pub(super) fn asks(&self) {
        // Only the first data after an answer begins a turn.
        if !self.asked.swap(true, Ordering::SeqCst) {
            self.turns.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Records data for the client.
    pub(super) fn answers(&self) {
        self.asked.store(false, Ordering::SeqCst);
    }

    /// Returns the turns since the last call of this function.
    pub(super) fn take(&self) -> Turns {
        let turns = self.turns.swap(0, Ordering::SeqCst);
        Turns { total: turns, longest: turns }
    }
}
