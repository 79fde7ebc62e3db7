//! The state of one pair, as far as the acknowledged writes tell.

use std::sync::atomic::{AtomicU32, Ordering};

/// Two bits are the state, the others count its changes.
#[derive(Debug, Default)]
pub(super) struct PairState(AtomicU32);

/// Whether an RSVP exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Out,
    In,
    /// A write is in flight.
    Written,
    /// A write has failed, and may have taken effect.
    Unknown,
}

/// The state at some moment. Equal ones mean that nothing has changed in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen(u32);

const BITS: u32 = 0b11;

impl Seen {
    pub(super) fn state(self) -> State {
        match self.0 & BITS {
            0 => State::Out,
            1 => State::In,
            2 => State::Written,
            _ => State::Unknown,
        }
    }

    fn next(self, state: State) -> u32 {
        let changes = (self.0 & !BITS).wrapping_add(BITS + 1);
        changes | state as u32
    }
}

impl PairState {
    pub(super) fn see(&self) -> Seen {
        Seen(self.0.load(Ordering::SeqCst))
    }

    pub(super) fn state(&self) -> State {
        self.see().state()
    }

    /// Marks a write as in flight and returns the state before, unless there is one already.
    pub(super) fn begin(&self) -> Option<State> {
        let seen = self.see();
        let written = seen.next(State::Written);
        let free = seen.state() != State::Written;
        let begun = free
            && self.0.compare_exchange(seen.0, written, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        begun.then(|| seen.state())
    }

    /// Ends the write that is in flight, of which there is only one.
    pub(super) fn set(&self, state: State) {
        self.0.store(self.see().next(state), Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_has_one_write_in_flight() {
        let pair = PairState::default();
        assert_eq!(pair.begin(), Some(State::Out));
        assert_eq!(pair.begin(), None);
        pair.set(State::In);
        assert_eq!(pair.begin(), Some(State::In));
    }

    #[test]
    fn a_state_that_was_left_and_is_back_is_seen_as_changed() {
        let pair = PairState::default();
        let before = pair.see();
        for state in [State::In, State::Out] {
            pair.begin();
            pair.set(state);
        }
        assert_eq!(pair.state(), State::Out);
        assert_ne!(pair.see(), before);
    }
}
