//! Counting the turns of a conversation.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The round trips of clients through a [`Proxy`](super::Proxy).
///
/// A turn begins when a client sends something after an answer has gone to it, or as the first on its
/// connection. A pipeline is one turn, however long it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Turns {
    /// The turns of all connections together.
    pub total: usize,
    /// The most turns of one connection.
    pub longest: usize,
}

impl Turns {
    /// The turns of these and others: the totals are added, and the longest stays.
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
    /// The client has sent something.
    pub(super) fn asks(&self) {
        if !self.asked.swap(true, Ordering::SeqCst) {
            self.turns.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Something goes to the client.
    pub(super) fn answers(&self) {
        self.asked.store(false, Ordering::SeqCst);
    }

    /// The turns since this was last called.
    pub(super) fn take(&self) -> Turns {
        let turns = self.turns.swap(0, Ordering::SeqCst);
        Turns { total: turns, longest: turns }
    }
}
