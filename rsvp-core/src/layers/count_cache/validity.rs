//! What is known of the writes through a cache with regard to one cached count.
//!
//! | validity | event | validity afterwards |
//! |---|---|---|
//! | any | a read, no write overlaps it | exact; ambiguous if a failed write is still pending |
//! | any | a read, a write that overlaps it has failed with unknown effect | ambiguous |
//! | any | a read, a write that overlaps it was acknowledged | stale |
//! | any | a read that began before the cached one | unchanged; stale if they overlap and differ |
//! | exact | a write that began after the read: applied | exact, and the count moves |
//! | exact | a write: unchanged | exact |
//! | exact | a write that overlaps the read: applied | stale |
//! | exact | a write of unknown effect, or dropped | ambiguous |
//! | exact | applied cancels of more RSVPs than it counts | stale |
//! | ambiguous | a write was acknowledged | stale |
//! | any | a write that was repeated, a step of a removal, another read that saw more | stale |
//! | any | a write that failed without effect | as before |
//!
//! An exact count is answered within the caller's bound, an ambiguous one within a twentieth of
//! the greatest age, a stale one only to those who waited for its read and while the store fails.

use super::clock::{Span, Tick};

/// Whether a cached count has the writes through this cache in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Validity {
    /// Each is known to be in the count or not, and those that were not have been added.
    Exact,
    /// Some may be in it or not, of which no caller was told that they took effect.
    Ambiguous,
    /// It may lack a write that was acknowledged.
    Stale,
}

impl Validity {
    /// A number for it, above zero.
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

/// What a call that writes has made of the count of an event.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    /// Some of it was applied, which adds up to this number. A sum of zero is a change as well: a
    /// read may have seen a part of it.
    Applied(i64),
    /// It was acknowledged, and there was nothing to do.
    Unchanged,
    /// It was acknowledged, and may have changed the count by more than it says.
    Uncounted,
    /// It failed, or its caller has gone.
    Unknown,
}

/// When writes of an event were last over.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LastWrites {
    /// When the count last changed through this cache, or may have.
    changed: Tick,
    /// When a write of the event was last acknowledged.
    acknowledged: Tick,
}

impl LastWrites {
    pub(super) fn record(&mut self, change: Change, span: Span) {
        // Of two that end at once the later one may get here first.
        if !matches!(change, Change::Unknown) {
            self.acknowledged = self.acknowledged.max(span.ended);
        }
        if !matches!(change, Change::Unchanged) {
            self.changed = self.changed.max(span.ended);
        }
    }

    /// The validity of a count whose read began at this tick, and is recorded now.
    pub(super) fn validity_of_read(&self, began: Tick, pending: bool) -> Validity {
        match (self.changed < began, self.acknowledged < began) {
            (true, _) if pending => Validity::Ambiguous,
            (true, _) => Validity::Exact,
            (false, true) => Validity::Ambiguous,
            (false, false) => Validity::Stale,
        }
    }
}
