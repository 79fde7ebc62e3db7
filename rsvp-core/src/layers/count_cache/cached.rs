//! The cached count of an event, and the reads and writes that change it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::clock::{BegunRead, Span, Tick};
use super::snapshot::{Counted, nanoseconds};
use super::validity::{Change, LastWrites, Validity};
use crate::{Count, SessionToken};

/// A count that was read from the store.
#[derive(Clone, Debug)]
struct Known {
    /// Below zero if others have written what is not in it, or if two writes of a pair were told
    /// in the wrong order.
    value: i64,
    /// The value as it was read.
    read_value: i64,
    /// How old it was already when the read began.
    age: Duration,
    exact_at: i64,
    began: Tick,
    ended: Tick,
    validity: Validity,
    /// The tokens of the writes that had been acknowledged to this cache before the read began.
    receipts: Arc<SessionToken>,
}

impl Known {
    fn counted(&self) -> Counted {
        let Self { exact_at, began, validity, .. } = *self;
        Counted { value: u64::try_from(self.value).unwrap_or(0), exact_at, began, validity }
    }
}

/// What has become of the writes of an event by one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    /// `None` if nothing has happened.
    pub(super) change: Option<Change>,
    /// Until when a write that has failed may still take effect.
    pub(super) pending: Option<Instant>,
    pub(super) span: Span,
}

/// The count, and what is known of the writes of its event.
#[derive(Debug, Default)]
pub(super) struct Cached {
    known: Option<Known>,
    writes: LastWrites,
    /// Until when a write that has failed may still take effect.
    pending_until: Option<Instant>,
    /// When a read that was not recorded was over, and which number it saw.
    seen: Option<(Tick, i64)>,
    /// Since when it is told of the writes of its event; `None` before it is in the table.
    told_since: Option<Tick>,
}

impl Cached {
    pub(super) fn counted(&self) -> Option<Counted> {
        self.known.as_ref().map(Known::counted)
    }

    /// The count, if it has every write behind the token.
    pub(super) fn counted_for(&self, token: &SessionToken) -> Option<Counted> {
        let known = self.known.as_ref().filter(|known| token.is_before(&known.receipts));
        known.map(Known::counted)
    }

    /// How old the count was when its read began.
    pub(super) fn age_when_read(&self) -> Duration {
        self.known.as_ref().map_or(Duration::ZERO, |known| known.age)
    }

    /// From now on it is told of the writes of its event.
    pub(super) fn insert(&mut self, since: Tick) {
        self.told_since = Some(since);
    }

    /// Records a count of an unknown moment, which makes another one stale.
    pub(super) fn doubt(&mut self, count: Count, ended: Tick) {
        let value = value(count);
        self.seen = Some((ended, value));
        if let Some(known) = &mut self.known
            && known.value != value
        {
            known.validity = Validity::Stale;
        }
    }

    /// Records a read that ended at this tick. Of two reads the one that began later stays.
    pub(super) fn record_read(
        &mut self,
        count: Count,
        read: &BegunRead,
        ended: Tick,
        epoch: Instant,
    ) {
        let (value, began) = (value(count), read.began);
        // 1. Are the writes through this cache in it?
        let pending = self.pending_until.is_some_and(|until| read.at < until);
        let mut validity = self.writes.validity_of_read(began, pending);
        // A caller's own read may have begun before the entry was there to be told of them.
        if self.told_since.is_none_or(|since| began < since) {
            validity = Validity::Stale;
        }
        // 2. Of two reads at one time nobody knows which of them saw more.
        if self.seen.is_some_and(|(seen, other)| began < seen && other != value) {
            validity = Validity::Stale;
        }
        if let Some(known) = &mut self.known {
            let overlap = began < known.ended && known.began < ended;
            if overlap && known.read_value != value {
                (validity, known.validity) = (Validity::Stale, Validity::Stale);
            }
            if known.began > began {
                return;
            }
        }
        // 3. Keep it.
        let at = nanoseconds(read.at.saturating_duration_since(epoch));
        let (age, receipts) = (count.age, read.receipts.clone());
        let exact_at = at - nanoseconds(age);
        let read_value = value;
        self.known =
            Some(Known { value, read_value, age, exact_at, began, ended, validity, receipts });
    }

    /// Records a write that is over. Returns whether the count is another one.
    pub(super) fn change(&mut self, written: &Written) -> bool {
        let Written { change, pending, span } = *written;
        self.pending_until = self.pending_until.max(pending);
        let Some(change) = change else { return false };
        self.writes.record(change, span);
        let Some(known) = &mut self.known else { return false };
        let exact = known.validity == Validity::Exact;
        match change {
            Change::Unchanged if exact => return false,
            // Added to a count that may have it already, it would make a number that never was.
            Change::Applied(by) if exact && span.began > known.ended => {
                known.value = known.value.saturating_add(by);
                if known.value < 0 {
                    known.validity = Validity::Stale;
                }
            }
            Change::Applied(_) | Change::Unchanged | Change::Uncounted => {
                known.validity = Validity::Stale;
            }
            Change::Unknown if exact => known.validity = Validity::Ambiguous,
            Change::Unknown => return false,
        }
        true
    }
}

fn value(count: Count) -> i64 {
    i64::try_from(count.value).unwrap_or(i64::MAX)
}
