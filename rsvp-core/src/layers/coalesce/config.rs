//! The settings of a coalescer.

use crate::Result;
use crate::backend::check_range;

/// The settings of a [`CoalescedStore`](super::CoalescedStore): the number of batches in flight,
/// their size, and the length of the queues.
///
/// ```
/// use rsvp_core::layers::CoalesceConfig;
///
/// let config = CoalesceConfig::default().with_lanes(8).with_max_batch(512);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CoalesceConfig {
    pub(super) lanes: usize,
    pub(super) concurrent_reads: usize,
    pub(super) max_batch: usize,
    pub(super) max_pending: usize,
}

impl Default for CoalesceConfig {
    fn default() -> Self {
        Self { lanes: 4, concurrent_reads: 2, max_batch: 2048, max_pending: 16_384 }
    }
}

impl CoalesceConfig {
    /// Sets the number of concurrent batches of writes, within 1 to 1,024. Defaults to 4.
    ///
    /// More lanes keep a distant store busier and make smaller batches.
    /// With two lanes or more, events with a backlog (more waiting writes than a 32nd
    /// of a batch) use all lanes but one, so the other events do not wait for a long batch.
    /// If these do not write for a while, events with a backlog use the last lane, too,
    /// and the next batch of the others has an extra lane.
    /// As many lanes again, at least two, are for suspects, events that may be blocked:
    /// see [`CoalescedStore`](super::CoalescedStore).
    /// A pool of connections should have a connection for each lane.
    #[must_use]
    pub fn with_lanes(self, lanes: usize) -> Self {
        Self { lanes, ..self }
    }

    /// Sets the number of concurrent batches of membership reads for each level
    /// of [`Consistency`](crate::Consistency), and of counts likewise, within 1 to 1,024.
    /// Defaults to 2.
    #[must_use]
    pub fn with_concurrent_reads(self, batches: usize) -> Self {
        Self { concurrent_reads: batches, ..self }
    }

    /// Sets the greatest number of entries in a batch of several calls, within 1 to 100,000.
    /// Defaults to 2,048.
    ///
    /// The writes of one call to one event are never divided, nor are the reads of one call.
    /// A call with more entries than this is a batch of its own.
    #[must_use]
    pub fn with_max_batch(self, entries: usize) -> Self {
        Self { max_batch: entries, ..self }
    }

    /// Sets the number of pending writes of one event while the queue is empty otherwise,
    /// within 1 to 1,000,000. Defaults to 16,384. It bounds each queue of reads as well.
    ///
    /// All events together may have twice as many pending writes.
    /// One event may have as many as there is free room (a dynamic threshold),
    /// so its own bound falls while others fill the queue.
    /// A call beyond a bound is refused as [`Error::Overloaded`](crate::Error::Overloaded).
    /// A waiting entry costs a few hundred bytes.
    /// At 50,000 entries a second the last of 16,384 waits for a third of a second.
    #[must_use]
    pub fn with_max_pending(self, entries: usize) -> Self {
        Self { max_pending: entries, ..self }
    }

    /// Refuses settings out of range.
    pub(crate) fn check(&self) -> Result<()> {
        check_range("coalesce_lanes", self.lanes, 1..=1024)?;
        check_range("coalesce_reads", self.concurrent_reads, 1..=1024)?;
        check_range("coalesce_batch", self.max_batch, 1..=100_000)?;
        check_range("coalesce_pending", self.max_pending, 1..=1_000_000)
    }
}
