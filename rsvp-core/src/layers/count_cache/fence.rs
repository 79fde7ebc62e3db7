//! The write fence of an event: its writes and the refresh of its count keep out of each other's
//! way.
//!
//! Writes of an event are inside together. A refresh closes the fence, waits for those inside to
//! leave, and opens the fence after its read. Neither waits for longer than the fence timeout, so
//! a call that hangs holds up nobody for longer.

use tokio_util::sync::CancellationToken;

/// The place of a write at a fence.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// A refresh does not wait for it.
    Outside,
    /// A refresh waits for it.
    Inside,
    /// It waits until the fence opens, and is inside from then on.
    Waiting {
        /// How often the fence had been opened before.
        openings: u64,
        /// Cancelled when the fence opens.
        opens: CancellationToken,
    },
}

/// A fence, under the lock of its entry.
#[derive(Debug, Default)]
pub(super) struct Fence {
    inside: u32,
    waiting: u32,
    openings: u64,
    /// While a refresh has closed it; cancelled when it opens.
    closed: Option<CancellationToken>,
}

impl Fence {
    /// Lets a write in, or has it wait.
    pub(super) fn enter(&mut self) -> Place {
        match &self.closed {
            None => {
                self.inside += 1;
                Place::Inside
            }
            Some(opens) => {
                self.waiting += 1;
                Place::Waiting { openings: self.openings, opens: opens.clone() }
            }
        }
    }

    /// Lets a write go. Returns whether a refresh waits for nobody any more.
    pub(super) fn leave(&mut self, place: &Place) -> bool {
        match place {
            Place::Outside => return false,
            Place::Waiting { openings, .. } if *openings == self.openings => self.waiting -= 1,
            // It has been let in meanwhile.
            Place::Inside | Place::Waiting { .. } => self.inside -= 1,
        }
        self.closed.is_some() && self.inside == 0
    }

    /// Keeps out the writes that come from now on.
    pub(super) fn close(&mut self) {
        self.closed.get_or_insert_default();
    }

    /// Lets in the writes that wait. The caller cancels the token once it has released its lock.
    pub(super) fn open(&mut self) -> Option<CancellationToken> {
        let opens = self.closed.take()?;
        self.openings += 1;
        // At once, or the next refresh would come before them each time.
        self.inside += std::mem::take(&mut self.waiting);
        Some(opens)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.inside == 0
    }
}
