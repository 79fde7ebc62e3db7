//! Events that may be blocked.

use std::collections::VecDeque;

/// A batch that held a write of the event has timed out.
#[derive(Clone, Copy)]
pub(super) struct Suspicion {
    /// Which of all suspicions it is.
    pub(super) number: u64,
    /// Whether a batch of the event alone has timed out, too.
    pub(super) blocked: bool,
}

/// The suspicions in the order in which they arose, so that their number is bounded.
pub(super) struct Suspects {
    most: usize,
    next: u64,
    /// The flow and the number of each, cleared ones included.
    oldest_first: VecDeque<(usize, u64)>,
}

impl Suspects {
    pub(super) fn new(most: usize) -> Self {
        Self { most, next: 0, oldest_first: VecDeque::new() }
    }

    pub(super) fn add(&mut self, flow: usize) -> Suspicion {
        let number = self.next;
        self.next += 1;
        self.oldest_first.push_back((flow, number));
        Suspicion { number, blocked: false }
    }

    /// The flow and the number of the oldest suspicion, if there are too many.
    pub(super) fn too_many(&mut self) -> Option<(usize, u64)> {
        if self.oldest_first.len() <= self.most {
            return None;
        }
        self.oldest_first.pop_front()
    }
}
