//! Suspects: events that may be blocked.

use std::collections::VecDeque;

/// The suspicion that an event is blocked.
/// It begins when a batch with a write of the event times out.
#[derive(Clone, Copy)]
pub(super) struct Suspicion {
    /// The number of the suspicion, unique in its queue.
    pub(super) number: u64,
    /// Whether a batch with this event alone has timed out, too.
    pub(super) blocked: bool,
}

/// All suspicions, the oldest first, with a bound on their number.
pub(super) struct Suspects {
    most: usize,
    next: u64,
    /// The flow and the number of each suspicion. Some may have been cleared meanwhile.
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

    /// Removes the oldest suspicion if there are too many, and returns its flow and number.
    pub(super) fn too_many(&mut self) -> Option<(usize, u64)> {
        if self.oldest_first.len() <= self.most {
            return None;
        }
        self.oldest_first.pop_front()
    }
}
