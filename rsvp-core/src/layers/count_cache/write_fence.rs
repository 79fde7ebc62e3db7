//! The write fence of an event.
//! It keeps the writes of the event and the refresh of its count apart.
//!
//! Several writes are inside together.
//! A refresh closes the fence, waits for the writes inside to leave, and opens the fence
//! after its read. Neither waits for longer than the fence timeout,
//! so a hanging call delays no other call for longer than that.

use tokio_util::sync::CancellationToken;

/// The place of a write at a fence.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// A refresh does not wait for the write.
    Outside,
    /// A refresh waits for the write.
    Inside,
    /// The write waits until the fence opens, and is inside from then on.
    Waiting {
        /// The number of openings of the fence before the write came.
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
    /// Set while a refresh has closed the fence. It is cancelled when the fence opens.
    closed: Option<CancellationToken>,
}

impl Fence {
    /// Lets a write in, or makes it wait.
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

    /// Lets a write leave. Returns whether a waiting refresh may begin now.
    pub(super) fn leave(&mut self, place: &Place) -> bool {
        match place {
            Place::Outside => return false,
            Place::Waiting { openings, .. } if *openings == self.openings => self.waiting -= 1,
            // The fence has opened since the write began to wait, so the write is inside.
            Place::Inside | Place::Waiting { .. } => self.inside -= 1,
        }
        self.closed.is_some() && self.inside == 0
    }

    /// Keeps out new writes.
    pub(super) fn close(&mut self) {
        self.closed.get_or_insert_default();
    }

    /// Lets in the waiting writes. The caller cancels the token after it has released its lock.
    pub(super) fn open(&mut self) -> Option<CancellationToken> {
        let opens = self.closed.take()?;
        self.openings += 1;
        // Count them as inside at once.
        // Otherwise the next refresh would come before them each time.
        self.inside += std::mem::take(&mut self.waiting);
        Some(opens)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.inside == 0
    }
}
