//! How much a coalesced store takes at once.

use crate::Result;
use crate::backend::check_range;

/// The number of batches that a [`CoalescedStore`](super::CoalescedStore) has in flight, their size,
/// and the number of entries that may wait for them.
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
    /// Sets the number of batches of writes in flight at once, within 1 to 1,024. Defaults to 4.
    ///
    /// More of them keep a distant store busier and make smaller batches. With two or more, events
    /// with a backlog (more writes waiting than a 32nd of a batch) use all but one of them, so that
    /// the others never wait for a long batch. As many again, and at least two, are for events that
    /// may be blocked: see [`CoalescedStore`](super::CoalescedStore). A pool of connections should
    /// have a connection for each.
    #[must_use]
    pub fn with_lanes(self, lanes: usize) -> Self {
        Self { lanes, ..self }
    }

    /// Sets the number of batches of membership reads in flight at once for each level of
    /// [`Consistency`](crate::Consistency), and of counts likewise, within 1 to 1,024. Defaults
    /// to 2.
    #[must_use]
    pub fn with_concurrent_reads(self, batches: usize) -> Self {
        Self { concurrent_reads: batches, ..self }
    }

    /// Sets the most entries of a batch that is made of several calls, within 1 to 100,000.
    /// Defaults to 2,048.
    ///
    /// The writes of one call to one event are never divided, nor are the reads of one call. More of
    /// them than this are a batch of their own.
    #[must_use]
    pub fn with_max_batch(self, entries: usize) -> Self {
        Self { max_batch: entries, ..self }
    }

    /// Sets the number of writes that one event may have waiting and in flight while others have
    /// none, within 1 to 1,000,000. Defaults to 16,384. It bounds each queue of reads as well.
    ///
    /// All events together may have twice as many writes. An event may have as many as there is free
    /// room (a dynamic threshold), so its own bound falls while others fill the queue. A call beyond a
    /// bound is refused as [`Error::Overloaded`](crate::Error::Overloaded). A waiting entry costs a
    /// few hundred bytes. At 50,000 entries a second the last of 16,384 waits for a third of a second.
    #[must_use]
    pub fn with_max_pending(self, entries: usize) -> Self {
        Self { max_pending: entries, ..self }
    }

    /// Refuses settings that are out of range.
    pub(crate) fn check(&self) -> Result<()> {
        check_range("coalesce_lanes", self.lanes, 1..=1024)?;
        check_range("coalesce_reads", self.concurrent_reads, 1..=1024)?;
        check_range("coalesce_batch", self.max_batch, 1..=100_000)?;
        check_range("coalesce_pending", self.max_pending, 1..=1_000_000)
    }
}
