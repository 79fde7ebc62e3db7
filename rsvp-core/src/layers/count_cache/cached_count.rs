//! The cached count of an event, and the reads and writes that change it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::clock::{BegunRead, Span, Tick};
use super::snapshot::{Counted, nanoseconds};
use super::validity::{Change, LastWrites, Validity};
use crate::{Count, SessionToken};

/// A count read from the store.
#[derive(Clone, Debug)]
struct Known {
    /// The count with the writes of this cache.
    /// It is below zero if others have written RSVPs without this cache, or
    /// if two writes of a pair were recorded in the wrong order.
    value: i64,
    /// The count as it was read.
    read_value: i64,
    /// The age of the count when its read began.
    age: Duration,
    exact_at: i64,
    began: Tick,
    ended: Tick,
    validity: Validity,
    /// The tokens of the writes acknowledged to this cache before the read began.
    receipts: Arc<SessionToken>,
}

impl Known {
    fn counted(&self) -> Counted {
        let Self { exact_at, began, validity, .. } = *self;
        Counted { value: u64::try_from(self.value).unwrap_or(0), exact_at, began, validity }
    }
}

/// The outcome of one call's writes of an event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    /// `None` if nothing has happened.
    pub(super) change: Option<Change>,
    /// The latest moment at which a failed write may still take effect.
    pub(super) pending: Option<Instant>,
    pub(super) span: Span,
}

/// The count of an event, and the last writes of the event.
#[derive(Debug, Default)]
pub(super) struct Cached {
    known: Option<Known>,
    writes: LastWrites,
    /// The latest moment at which a failed write may still take effect.
    pending_until: Option<Instant>,
    /// The end of a read that was not recorded, and the count that it returned.
    seen: Option<(Tick, i64)>,
    /// The latest end of reads that differed. A read that began before it may lack what one saw.
    disputed: Tick,
    /// The tick from which on this value is told of the writes of its event.
    /// `None` before its entry is in the table.
    told_since: Option<Tick>,
}

impl Cached {
    pub(super) fn counted(&self) -> Option<Counted> {
        self.known.as_ref().map(Known::counted)
    }

    /// Returns the count, if it has every write behind the token.
    pub(super) fn counted_for(&self, token: &SessionToken) -> Option<Counted> {
        let known = self.known.as_ref().filter(|known| token.is_before(&known.receipts));
        known.map(Known::counted)
    }

    /// Returns the age of the count when its read began.
    pub(super) fn age_when_read(&self) -> Duration {
        self.known.as_ref().map_or(Duration::ZERO, |known| known.age)
    }

    /// Marks the beginning of records: from now on this value is told of the writes of its event.
    pub(super) fn insert(&mut self, since: Tick) {
        self.told_since = Some(since);
    }

    /// Records a count of an unknown moment. It makes a different cached count stale.
    pub(super) fn doubt(&mut self, count: Count, ended: Tick) {
        let value = value(count);
        if let Some((seen, other)) = self.seen
            && other != value
        {
            self.disputed = self.disputed.max(seen);
        }
        self.seen = Some((ended, value));
        if let Some(known) = &mut self.known
            && known.value != value
        {
            known.validity = Validity::Stale;
        }
    }

    /// Records a read that ended at this tick.
    /// Of two reads, the one that began later is kept.
    pub(super) fn record_read(
        &mut self,
        count: Count,
        read: &BegunRead,
        ended: Tick,
        epoch: Instant,
    ) {
        let (value, began) = (value(count), read.began);
        // 1. Decide whether the count has every write of this cache.
        let pending = self.pending_until.is_some_and(|until| read.at < until);
        let mut validity = self.writes.validity_of_read(began, pending);
        // A caller's own read may have begun before the entry was in the table
        // and was told of writes.
        if self.told_since.is_none_or(|since| began < since) {
            validity = Validity::Stale;
        }
        // 2. Compare the count with other reads.
        //    Of two overlapping reads nobody knows which one saw more writes.
        let differs = self.seen.is_some_and(|(seen, other)| began < seen && other != value);
        if differs || began < self.disputed {
            validity = Validity::Stale;
        }
        if let Some(known) = &mut self.known {
            // Both reads are stale if they overlap and differ.
            let overlap = began < known.ended && known.began < ended;
            if overlap && known.read_value != value {
                (validity, known.validity) = (Validity::Stale, Validity::Stale);
                self.disputed = self.disputed.max(ended).max(known.ended);
            }
            // The cached count is the later one.
            if known.began > began {
                return;
            }
        }
        // 3. Keep the count.
        let at = nanoseconds(read.at.saturating_duration_since(epoch));
        let (age, receipts) = (count.age, read.receipts.clone());
        let exact_at = at - nanoseconds(age);
        let read_value = value;
        self.known =
            Some(Known { value, read_value, age, exact_at, began, ended, validity, receipts });
    }

    /// Records a finished write. Returns whether the count or its validity has changed.
    pub(super) fn change(&mut self, written: &Written) -> bool {
        // 1. Remember the write for the next read, even without a count.
        let Written { change, pending, span } = *written;
        self.pending_until = self.pending_until.max(pending);
        let Some(change) = change else { return false };
        self.writes.record(change, span);
        let Some(known) = &mut self.known else { return false };
        // 2. Change the count or its validity. The module documentation has the state table.
        let exact = known.validity == Validity::Exact;
        match change {
            Change::Unchanged if exact => return false,
            // The read was over before this write began, so the count does not have it. Add it.
            // A write that overlaps the read may be in the count already,
            // and adding it would make a number that never was.
            Change::Applied(by) if exact && span.began > known.ended => {
                known.value = known.value.saturating_add(by);
                if known.value < 0 {
                    // A negative count shows that writes were missed.
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
