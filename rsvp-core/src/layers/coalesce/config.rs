//! How much a coalesced store takes at once.

use crate::Result;
use crate::backend::check_range;

/// How many batches a [`CoalescedStore`](super::CoalescedStore) has in flight, how large they are
/// and how much may wait for them.
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
    /// Sets the number of lanes that the events are divided over, and so the number of batches of
    /// writes in flight at once, within 1 to 1,024. Defaults to 4.
    ///
    /// More lanes keep a distant store busier and make smaller batches.
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
    /// A call that has more entries is a batch of its own. Calls are never divided within a lane.
    #[must_use]
    pub fn with_max_batch(self, entries: usize) -> Self {
        Self { max_batch: entries, ..self }
    }

    /// Sets the number of entries that may wait or be in flight in each lane, and in each queue of
    /// reads, before a call is refused as [`Error::Overloaded`](crate::Error::Overloaded), within
    /// 1 to 1,000,000. Defaults to 16,384.
    ///
    /// A waiting entry costs a few hundred bytes. At 50,000 entries a second the last of 16,384
    /// waits for a third of a second.
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
