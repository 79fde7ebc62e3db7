//! One call, and what its answer means.

use std::fmt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rsvp::{Action, Effect, EventId, Outcome, Rsvp, UserId, Write};
use serde::{Deserialize, Serialize};

use super::history::Ended;
use super::pair::{Seen, State};
use super::{RECENT, World};

/// The kinds of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// `rsvp`.
    Rsvp,
    /// `cancel`.
    Cancel,
    /// `has_rsvped`.
    HasRsvped,
    /// `rsvp_count`.
    RsvpCount,
    /// A page of an event's attendees.
    Attendees,
    /// A page of a user's events.
    EventsOf,
}

impl Operation {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::Rsvp,
        Self::Cancel,
        Self::HasRsvped,
        Self::RsvpCount,
        Self::Attendees,
        Self::EventsOf,
    ];

    /// The name in snake case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rsvp => "rsvp",
            Self::Cancel => "cancel",
            Self::HasRsvped => "has_rsvped",
            Self::RsvpCount => "rsvp_count",
            Self::Attendees => "attendees",
            Self::EventsOf => "events_of",
        }
    }

    /// Whether this is one of the four verbs, which every summary has.
    #[must_use]
    pub fn is_verb(self) -> bool {
        !matches!(self, Self::Attendees | Self::EventsOf)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A call, with what is known about its pair at its beginning.
#[derive(Debug)]
pub(crate) enum Call {
    Write { write: Write, place: usize, before: State },
    HasRsvped { pair: Rsvp, place: usize, seen: Seen },
    RsvpCount { event: EventId, place: usize, began: Duration },
    Attendees { event: EventId },
    EventsOf { user: UserId },
}

impl Call {
    pub(crate) fn operation(&self) -> Operation {
        match self {
            Self::Write { write: Write { action: Action::Rsvp, .. }, .. } => Operation::Rsvp,
            Self::Write { .. } => Operation::Cancel,
            Self::HasRsvped { .. } => Operation::HasRsvped,
            Self::RsvpCount { .. } => Operation::RsvpCount,
            Self::Attendees { .. } => Operation::Attendees,
            Self::EventsOf { .. } => Operation::EventsOf,
        }
    }
}

impl World {
    /// Notes an acknowledged write. The state before decides, since `Unchanged` after a repetition
    /// may have been applied by the attempt before.
    pub(crate) fn wrote(
        &self,
        write: &Write,
        place: usize,
        before: State,
        outcome: Outcome,
        now: Duration,
    ) {
        let (old, new) = match write.action {
            Action::Rsvp => (State::Out, State::In),
            Action::Cancel => (State::In, State::Out),
        };
        let moved = before == old || before == State::Unknown && outcome.is_applied();
        let ended = if moved { Ended::Moved } else { Ended::Nothing };
        self.end(write.action, place, ended, now);
        self.settle(place, new);
        let recent = self.written.fetch_add(1, Ordering::Relaxed) % RECENT;
        if let (Some(recent), Ok(place)) = (self.recent.get(recent), u32::try_from(place)) {
            recent.store(place, Ordering::Relaxed);
        }
    }

    /// Notes a write that has failed.
    pub(crate) fn failed(
        &self,
        write: &Write,
        place: usize,
        before: State,
        effect: Effect,
        now: Duration,
    ) {
        let ended = Ended::failed(effect);
        self.end(write.action, place, ended, now);
        self.settle(place, if ended == Ended::Nothing { before } else { State::Unknown });
    }

    /// Whether the answer lacks a write that was acknowledged before the read began, or has one that
    /// was undone.
    pub(crate) fn misses(&self, place: usize, seen: Seen, answer: bool) -> bool {
        let expected = match seen.state() {
            State::In => true,
            State::Out => false,
            State::Written | State::Unknown => return false,
        };
        answer != expected && self.pairs.get(place).is_some_and(|pair| pair.see() == seen)
    }

    /// How old a count is.
    pub(crate) fn staleness(&self, event: usize, count: u64, began: Duration) -> Duration {
        let history = self.histories.get(event);
        history.map_or(Duration::ZERO, |history| history.staleness(count, began))
    }

    fn end(&self, action: Action, place: usize, ended: Ended, now: Duration) {
        if let Some(history) = self.histories.get(self.event_of(place)) {
            history.end(action, ended, now);
        }
    }

    fn settle(&self, place: usize, state: State) {
        if let Some(pair) = self.pairs.get(place) {
            pair.set(state);
        }
    }
}
