//! The bounds of a count while writes are in flight.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// The writes that change the count of one event.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    up: Progress,
    down: Progress,
}

#[derive(Debug, Default)]
struct Progress {
    begun: AtomicU64,
    done: AtomicU64,
}

/// The writes that were done when a count was asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    up_done: u64,
    down_done: u64,
}

impl Moves {
    pub(crate) fn begin(&self, up: bool) {
        self.direction(up).begun.fetch_add(1, SeqCst);
    }

    pub(crate) fn done(&self, up: bool) {
        self.direction(up).done.fetch_add(1, SeqCst);
    }

    pub(crate) fn ask(&self) -> Asked {
        Asked { up_done: self.up.done.load(SeqCst), down_done: self.down.done.load(SeqCst) }
    }

    /// The bounds of the answer: writes that were done before the read are counted, and writes
    /// that had not begun when the answer came are not.
    pub(crate) fn bounds(&self, asked: &Asked) -> RangeInclusive<u64> {
        let least = asked.up_done.saturating_sub(self.down.begun.load(SeqCst));
        let most = self.up.begun.load(SeqCst).saturating_sub(asked.down_done);
        least..=most
    }

    fn direction(&self, up: bool) -> &Progress {
        if up { &self.up } else { &self.down }
    }
}
