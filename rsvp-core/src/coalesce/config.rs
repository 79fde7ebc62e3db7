//! How much a coalesced store takes at once.

use crate::{Error, Result};

/// How many batches a [`CoalescedStore`](super::CoalescedStore) has in flight, how large they are
/// and how much may wait for them.
///
/// ```
/// use rsvp_core::CoalesceConfig;
///
/// let config = CoalesceConfig::default().with_lanes(8)?.with_max_batch(512)?;
/// # Ok::<(), rsvp_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CoalesceConfig {
    pub(super) lanes: usize,
    pub(super) reads: usize,
    pub(super) max_batch: usize,
    pub(super) max_pending: usize,
}

impl Default for CoalesceConfig {
    fn default() -> Self {
        Self { lanes: 4, reads: 2, max_batch: 2048, max_pending: 16_384 }
    }
}

impl CoalesceConfig {
    /// How many lanes the events are divided over, and so how many batches of writes are in
    /// flight at once; 4 unless said otherwise.
    ///
    /// More lanes keep a store that is far away busier, and make smaller batches.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] unless it is within 1 to 1,024.
    pub fn with_lanes(self, lanes: usize) -> Result<Self> {
        Ok(Self { lanes: within("lanes", lanes, 1024)?, ..self })
    }

    /// How many batches of questions are in flight at once for each kind of
    /// [`Consistency`](crate::Consistency), and as many of counts; 2 unless said otherwise.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] unless it is within 1 to 1,024.
    pub fn with_concurrent_reads(self, reads: usize) -> Result<Self> {
        Ok(Self { reads: within("concurrent_reads", reads, 1024)?, ..self })
    }

    /// The most entries of a batch that is made of several calls; 2,048 unless said otherwise. A
    /// call that has more is a batch of its own: calls are never divided within a lane.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] unless it is within 1 to 100,000.
    pub fn with_max_batch(self, entries: usize) -> Result<Self> {
        Ok(Self { max_batch: within("max_batch", entries, 100_000)?, ..self })
    }

    /// How many entries may wait or be in flight in each lane, and in each queue of reads, before
    /// a call is refused as [`Error::Overloaded`]; 16,384 unless said otherwise.
    ///
    /// A waiting entry costs a few hundred bytes, and at 50,000 entries a second the last of
    /// 16,384 waits for a third of a second.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] unless it is within 1 to 1,000,000.
    pub fn with_max_pending(self, entries: usize) -> Result<Self> {
        Ok(Self { max_pending: within("max_pending", entries, 1_000_000)?, ..self })
    }
}

fn within(field: &'static str, value: usize, most: usize) -> Result<usize> {
    if (1..=most).contains(&value) {
        Ok(value)
    } else {
        Err(Error::invalid_input(field, format!("is not within 1 to {most}")))
    }
}
