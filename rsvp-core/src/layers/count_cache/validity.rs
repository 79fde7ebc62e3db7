//! The validity of a cached count: its states, and the writes and reads that change them.
//!
//! The documentation of the [module above](super) has the state table.

use super::clock::{Span, Tick};

/// Whether a cached count has the writes through this cache.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Validity {
    /// Every write is known to be in the count or not, and the missing ones have been added.
    Exact,
    /// Some writes may be in the count or not. No caller was told that they took effect.
    Ambiguous,
    /// The count may lack an acknowledged write.
    Stale,
}

impl Validity {
    /// Returns a number for it, above zero.
    pub(super) fn code(self) -> u64 {
        match self {
            Self::Exact => 1,
            Self::Ambiguous => 2,
            Self::Stale => 3,
        }
    }

    pub(super) fn from_code(code: u64) -> Option<Self> {
        [Self::Exact, Self::Ambiguous, Self::Stale].into_iter().find(|it| it.code() == code)
    }
}

/// The change of an event's count by one call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    /// Writes were applied, with this sum.
    /// Even a sum of zero is a change, because a read may have seen a part of it.
    Applied(i64),
    /// The writes were acknowledged, and changed nothing.
    Unchanged,
    /// The writes were acknowledged, and may have changed the count by more than the answers say.
    Uncounted,
    /// The call failed with unknown effect, or its caller has gone.
    Unknown,
}

/// The last ends of writes of an event.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LastWrites {
    /// The tick at which the count last changed through this cache, or may have changed.
    changed: Tick,
    /// The tick at which a write of the event was last acknowledged.
    acknowledged: Tick,
}

impl LastWrites {
    pub(super) fn record(&mut self, change: Change, span: Span) {
        // Two writes may end at once, and the later one may get here first.
        if !matches!(change, Change::Unknown) {
            self.acknowledged = self.acknowledged.max(span.ended);
        }
        if !matches!(change, Change::Unchanged) {
            self.changed = self.changed.max(span.ended);
        }
    }

    /// Returns the validity of a count whose read began at this tick and is recorded now.
    pub(super) fn validity_of_read(&self, began: Tick, pending: bool) -> Validity {
        match (self.changed < began, self.acknowledged < began) {
            (true, _) if pending => Validity::Ambiguous,
            (true, _) => Validity::Exact,
            (false, true) => Validity::Ambiguous,
            (false, false) => Validity::Stale,
        }
    }
}
