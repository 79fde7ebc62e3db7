//! The shards of the pairs of one batch.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::Placement;
use super::placement::place_among;
use super::rendezvous::{Candidate, hash_of_event};
use crate::{EventId, Rsvp};

/// The target shards of a batch's entries, as places in the order of the shards' hashes.
#[derive(Debug, PartialEq)]
pub(super) enum Targets {
    /// All entries go to one shard.
    One(usize),
    /// The place of each entry, in the order of the batch.
    Each(Vec<usize>),
}

impl Placement {
    /// Returns the shards of the pairs of a batch.
    pub(super) fn targets<'a>(&self, pairs: impl ExactSizeIterator<Item = &'a Rsvp>) -> Targets {
        if self.homes() == self.shards().len() {
            // Every shard is a home of every event, so only the pair decides.
            return targets(pairs, |pair| self.place_of(pair));
        }
        if pairs.len() == 1 {
            return targets(pairs, |pair| self.place_of(pair));
        }
        let mut homes = Homes::new(self);
        targets(pairs, |pair| homes.place_of(pair))
    }

    /// Returns the shards of whole events, for a spread of 1.
    pub(super) fn targets_of_events(&self, events: &[EventId]) -> Targets {
        targets(events.iter(), |event| self.place_of_event(hash_of_event(event)))
    }
}

fn targets<E>(entries: impl ExactSizeIterator<Item = E>, place: impl FnMut(E) -> usize) -> Targets {
    let count = entries.len();
    let mut places = entries.map(place);
    let Some(first) = places.next() else { return Targets::Each(Vec::new()) };
    // Allocate only at the first entry with another shard.
    for (same, place) in (1..).zip(places.by_ref()) {
        if place != first {
            let mut each = Vec::with_capacity(count);
            each.resize(same, first);
            each.push(place);
            each.extend(places);
            return Targets::Each(each);
        }
    }
    Targets::One(first)
}

/// A memory of the homes of each event of a batch. A batch has many pairs of few events.
struct Homes<'a> {
    placement: &'a Placement,
    /// The beginning of the homes of each event in `homes`, by the hash of the event.
    /// Homes follow from the hash alone, so two events of one hash may share them.
    begins: HashMap<u64, usize>,
    /// The homes of all events, the same number for each.
    homes: Vec<(usize, &'a Candidate)>,
    /// The event of the previous pair.
    last: Option<(u64, usize)>,
}

impl<'a> Homes<'a> {
    fn new(placement: &'a Placement) -> Self {
        Self { placement, begins: HashMap::new(), homes: Vec::new(), last: None }
    }

    fn place_of(&mut self, pair: &Rsvp) -> usize {
        let event = hash_of_event(&pair.event);
        let begin = match self.last {
            Some((last, begin)) if last == event => begin,
            _ => self.begin_of(event),
        };
        self.last = Some((event, begin));
        let homes = self.homes.get(begin..begin + self.placement.homes()).unwrap_or_default();
        match homes {
            [(place, _)] => *place,
            homes => place_among(homes, pair),
        }
    }

    fn begin_of(&mut self, event: u64) -> usize {
        match self.begins.entry(event) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                let begin = *new.insert(self.homes.len());
                self.homes.extend(self.placement.candidates_of(event));
                begin
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::UserId;

    fn placement(shards: u32, spread: usize) -> Placement {
        Placement::new((0..shards).map(|n| (format!("s{n}"), 1.0)), spread).unwrap()
    }

    fn pair((user, event): (u32, u32)) -> Rsvp {
        Rsvp::new(UserId::from(user), EventId::from(event))
    }

    #[test]
    fn the_homes_of_an_event_are_computed_once_a_batch() {
        for spread in [1, 4] {
            let placement = placement(64, spread);
            let mut homes = Homes::new(&placement);
            for n in 0..1000 {
                homes.place_of(&pair((n, n % 10)));
            }
            for n in 0..1000 {
                homes.place_of(&pair((n, n / 100)));
            }
            assert_eq!(homes.begins.len(), 10);
            assert_eq!(homes.homes.len(), 10 * spread, "of each event once");
        }
    }

    proptest! {
        #[test]
        fn a_batch_goes_where_each_of_its_pairs_lives(
            pairs in prop::collection::vec((0..50_u32, 0..5_u32), 0..40),
            shards in 1..9_u32,
            spread in 1..9_usize,
        ) {
            let placement = placement(shards, spread);
            let pairs: Vec<Rsvp> = pairs.into_iter().map(pair).collect();
            let names: Vec<&str> = placement.shards().map(|(name, _)| name).collect();
            let places = match placement.targets(pairs.iter()) {
                Targets::One(place) => vec![place; pairs.len()],
                Targets::Each(places) => places,
            };
            let found: Vec<&str> = places.into_iter().map(|place| names[place]).collect();
            let expected: Vec<&str> = pairs.iter().map(|pair| placement.shard_of(pair)).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_batch_of_one_shard_is_told_from_others() {
        let placement = placement(4, 1);
        let of_one: Vec<Rsvp> = (0..50).map(|user| pair((user, 1))).collect();
        assert!(matches!(placement.targets(of_one.iter()), Targets::One(_)));
        let of_many: Vec<Rsvp> = (0..50).map(|n| pair((n, n))).collect();
        assert!(
            matches!(placement.targets(of_many.iter()), Targets::Each(each) if each.len() == 50)
        );
    }
}
