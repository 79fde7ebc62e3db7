//! The counts that are kept, and what writes make of them.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::OwnedRwLockReadGuard;
use tokio::time::{Instant, timeout, timeout_at};

use super::entry::{Change, Entry, Tick};
use crate::{Action, Deadline, Effect, Error, EventId, Result, Write, Written};

/// The counts of the events that are asked for.
pub(super) struct Table {
    entries: Cache<EventId, Arc<Entry>>,
    /// How long a write waits for a read of its count to end, and how long it holds one up.
    fence_timeout: Duration,
    ticks: AtomicU64,
    /// When counts last changed that nobody named.
    changed_anywhere: AtomicU64,
}

impl Table {
    pub(super) fn new(capacity: u64, fence_timeout: Duration) -> Self {
        let (ticks, changed_anywhere) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { entries: Cache::new(capacity), fence_timeout, ticks, changed_anywhere }
    }

    pub(super) fn tick(&self) -> Tick {
        self.ticks.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(super) fn entry(&self, event: &EventId) -> Arc<Entry> {
        self.entries.get_with_by_ref(event, Arc::default)
    }

    /// Announces a write that may change any count.
    pub(super) fn begin_anywhere(&self) -> WritingAnywhere<'_> {
        WritingAnywhere { table: self, applied: true }
    }

    /// When such a write was last over.
    pub(super) fn changed_anywhere(&self) -> Tick {
        self.changed_anywhere.load(Ordering::SeqCst)
    }

    /// Announces a write that may change the counts of `events`, when no count of them is being
    /// read.
    pub(super) async fn begin<'a>(
        &self,
        events: impl Iterator<Item = &'a EventId> + Send,
        deadline: Option<Deadline>,
    ) -> Writing<'_> {
        let changes: BTreeMap<_, _> =
            events.map(|event| (event.clone(), Change::Unknown)).collect();
        let fenced_by = Instant::now() + self.fence_timeout;
        let fenced_by = deadline.map_or(fenced_by, |own| fenced_by.min(own.instant()));
        let mut fences = Vec::new();
        // In one order for all, so that two of them never wait for each other.
        for entry in changes.keys().filter_map(|event| self.entries.get(event)) {
            let fence = entry.fence.clone();
            match fence.clone().try_read_owned() {
                Ok(passed) => fences.push(passed),
                Err(_) => fences.extend(timeout_at(fenced_by, fence.read_owned()).await),
            }
        }
        Writing { table: self, began: self.tick(), changes, pending: Vec::new(), fences }
    }
}

/// Waits for a call. If it hangs, its fences are opened for the others.
pub(super) async fn within_fence_timeout<G, T>(
    fence_timeout: Duration,
    fences: &mut Vec<G>,
    call: impl Future<Output = T>,
) -> T {
    if fences.is_empty() {
        return call.await;
    }
    let mut call = pin!(call);
    match timeout(fence_timeout, &mut call).await {
        Ok(answer) => answer,
        Err(_) => {
            fences.clear();
            call.await
        }
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("entries", &self.entries.entry_count())
            .finish_non_exhaustive()
    }
}

/// A write that is on its way. Once dropped it is over, and what is not known about its effect
/// by then never will be.
pub(super) struct Writing<'a> {
    table: &'a Table,
    began: Tick,
    changes: BTreeMap<EventId, Change>,
    /// The events of writes that may still take effect, and until when.
    pending: Vec<(EventId, Instant)>,
    fences: Vec<OwnedRwLockReadGuard<()>>,
}

impl Writing<'_> {
    /// Waits for the write. If it hangs, the reading of its counts is not held up any more.
    pub(super) async fn done<T>(&mut self, write: impl Future<Output = T>) -> T {
        within_fence_timeout(self.table.fence_timeout, &mut self.fences, write).await
    }

    /// Records the results of the writes.
    pub(super) fn answered(mut self, writes: &[Write], results: &[Result<Written>]) {
        if writes.len() != results.len() {
            return;
        }
        let mut tallies: BTreeMap<&EventId, Tally> = BTreeMap::new();
        for (Write { action, rsvp }, result) in writes.iter().zip(results) {
            tallies.entry(&rsvp.event).or_default().add(*action, result);
        }
        for (event, tally) in tallies {
            self.pending.extend(tally.pending.map(|until| (event.clone(), until)));
            match tally.change() {
                Some(change) => drop(self.changes.insert(event.clone(), change)),
                None => drop(self.changes.remove(event)),
            }
        }
    }

    /// Records an acknowledged step of a removal. The number of RSVPs that it names is the least: a
    /// step that a store inside has repeated does not count those that its first attempt removed.
    pub(super) fn removed(mut self) {
        self.changes.values_mut().for_each(|change| *change = Change::Uncounted);
    }

    /// Records that the whole call has failed.
    pub(super) fn failed(mut self, error: &Error) {
        match error.effect() {
            Effect::NotApplied => self.changes.clear(),
            Effect::Pending(until) => {
                let events = self.changes.keys().cloned();
                self.pending = events.map(|event| (event, until.instant())).collect();
            }
            Effect::Unknown => {}
        }
    }
}

/// What the writes of one event in a batch have come to.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    sum: i64,
    applied: bool,
    acknowledged: bool,
    /// A write was repeated, so an earlier attempt may have changed the count.
    repeated: bool,
    /// A write failed, and its effect is not known.
    unknown: bool,
    /// A write failed, and may still take effect until this moment.
    pending: Option<Instant>,
}

impl Tally {
    fn add(&mut self, action: Action, result: &Result<Written>) {
        match result {
            Ok(written) => {
                self.acknowledged = true;
                self.repeated |= written.repeated;
                if written.outcome.is_applied() {
                    self.applied = true;
                    self.sum += if action == Action::Rsvp { 1 } else { -1 };
                }
            }
            Err(error) => {
                self.unknown |= error.effect() != Effect::NotApplied;
                self.pending = self.pending.max(error.retry_at().map(Deadline::instant));
            }
        }
    }

    /// The change of the count; `None` if nothing has happened.
    fn change(self) -> Option<Change> {
        match self {
            Self { acknowledged: true, repeated, unknown, .. } if repeated || unknown => {
                Some(Change::Uncounted)
            }
            Self { unknown: true, .. } => Some(Change::Unknown),
            Self { applied: true, sum, .. } => Some(Change::Applied(sum)),
            Self { acknowledged: true, .. } => Some(Change::Unchanged),
            _ => None,
        }
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let ended = self.table.tick();
        for (event, until) in &self.pending {
            if let Some(entry) = self.table.entries.get(event) {
                entry.pend(*until);
            }
        }
        for (event, change) in &self.changes {
            // Not the entry of the beginning: it may have been made, or made anew, meanwhile.
            if let Some(entry) = self.table.entries.get(event) {
                entry.change(*change, self.began, ended);
            }
        }
    }
}

/// A write that may change any count. Once dropped it is over, and has changed them.
pub(super) struct WritingAnywhere<'a> {
    table: &'a Table,
    applied: bool,
}

impl WritingAnywhere<'_> {
    /// Nothing has happened.
    pub(super) fn not_applied(mut self) {
        self.applied = false;
    }
}

impl Drop for WritingAnywhere<'_> {
    fn drop(&mut self) {
        if self.applied {
            self.table.changed_anywhere.fetch_max(self.table.tick(), Ordering::SeqCst);
        }
    }
}
