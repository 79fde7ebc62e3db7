//! The users and events of a run, and what the generator knows about them.

mod call;
mod draw;
mod history;
mod pair;
mod zipf;

use std::sync::atomic::{AtomicU32, AtomicUsize};

use rsvp::{EventId, Rsvp, UserId};

use self::history::History;
use self::pair::{PairState, State};
use self::zipf::Zipf;
use crate::Failure;
use crate::plan::{Focus, Plan};

pub(crate) use self::call::Call;
pub use self::call::Operation;

/// Pairs of each event but the first. Half of them exist when the run begins.
const PAIRS: usize = 64;
/// Pairs of the first event that come and go when all calls are on it.
const HOT_PAIRS: usize = 4_000;
/// The number of pairs that were written last and are read more often than others.
const RECENT: usize = 64;

/// All users and events of a run, and the state of each pair as far as it is known.
///
/// No two writes of a pair are in flight at once, so its state follows from the acknowledged ones.
#[derive(Debug)]
pub(crate) struct World {
    users: Vec<UserId>,
    events: Vec<EventId>,
    /// Those of the first event, then those of the other ones.
    pairs: Vec<PairState>,
    histories: Vec<History>,
    zipf: Zipf,
    /// Pairs that were written last, by their place.
    recent: [AtomicU32; RECENT],
    written: AtomicUsize,
    /// The next pair of the first event, when every writer is new.
    next: AtomicUsize,
}

impl World {
    /// Ids that begin with `tag`, which is new to the target.
    pub(crate) fn new(plan: &Plan, tag: &str) -> Result<Self, Failure> {
        let users = plan.users.max(HOT_PAIRS);
        let user = |n: usize| UserId::new(format!("{tag}u{n}"));
        let event = |n: usize| EventId::new(format!("{tag}e{n}"));
        let pairs = users + PAIRS * plan.events;
        let world = Self {
            users: (0..users).map(user).collect::<rsvp::Result<_>>()?,
            events: (0..=plan.events).map(event).collect::<rsvp::Result<_>>()?,
            pairs: (0..pairs).map(|_| PairState::default()).collect(),
            histories: (0..=plan.events).map(|_| History::default()).collect(),
            zipf: Zipf::new(plan.events),
            recent: std::array::from_fn(|_| AtomicU32::new(u32::MAX)),
            written: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
        };
        let one = plan.phases().iter().any(|phase| phase.mix.focus == Focus::One);
        let hot = if one { 0..HOT_PAIRS } else { 0..0 };
        for place in hot.chain(users..pairs).filter(|place| place % 2 == 0) {
            if let Some(pair) = world.pairs.get(place) {
                pair.set(State::In);
            }
            if let Some(history) = world.histories.get(world.event_of(place)) {
                history.begin_with_one_more();
            }
        }
        Ok(world)
    }

    /// The pairs that exist when the run begins.
    pub(crate) fn present(&self) -> Vec<Rsvp> {
        let places = self.pairs.iter().enumerate();
        let places = places.filter(|(_, pair)| pair.state() == State::In);
        places.filter_map(|(place, _)| self.rsvp(place)).collect()
    }

    pub(crate) fn events(&self) -> &[EventId] {
        &self.events
    }

    pub(crate) fn users(&self) -> &[UserId] {
        &self.users
    }

    /// The number of the event that a pair is of.
    fn event_of(&self, place: usize) -> usize {
        place.checked_sub(self.users.len()).map_or(0, |place| place / PAIRS + 1)
    }

    fn rsvp(&self, place: usize) -> Option<Rsvp> {
        let event = self.event_of(place);
        let user = match place.checked_sub(self.users.len()) {
            None => place,
            // Few users, so that each comes to some events. Their number is odd: no event has one twice.
            Some(place) => {
                let among = (self.users.len() / 100).max(2 * PAIRS) | 1;
                (event * 17 + place % PAIRS * 32) % among
            }
        };
        Some(Rsvp::new(self.users.get(user)?.clone(), self.events.get(event)?.clone()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use super::*;
    use crate::Scenario;

    #[test]
    fn no_pair_is_there_twice() {
        let plan = Plan { events: 50, users: 5_000, ..Plan::new(Scenario::Steady, Duration::ZERO) };
        let world = World::new(&plan, "t").unwrap();
        let all: HashSet<Rsvp> =
            (0..world.pairs.len()).map(|place| world.rsvp(place).unwrap()).collect();
        assert_eq!(all.len(), 5_000 + 50 * PAIRS);
    }

    #[test]
    fn half_of_the_pairs_of_each_event_exist_at_first() {
        let plan = Plan { events: 10, ..Plan::new(Scenario::Steady, Duration::ZERO) };
        assert_eq!(World::new(&plan, "t").unwrap().present().len(), 10 * PAIRS / 2);
        let plan = Plan { events: 10, ..Plan::new(Scenario::Hot, Duration::ZERO) };
        let present = World::new(&plan, "t").unwrap().present();
        assert_eq!(present.len(), 10 * PAIRS / 2 + HOT_PAIRS / 2);
    }
}
