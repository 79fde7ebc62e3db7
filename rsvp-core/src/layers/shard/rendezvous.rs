//! Rendezvous hashing: the score of a shard for an event or a pair.

use std::cell::OnceCell;
use std::cmp::Ordering;

use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

use super::Placement;
use crate::backend::check_name;
use crate::{Error, EventId, Result, Rsvp};

/// A shard of a placement, as a candidate for an event or a pair.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Candidate {
    pub(super) name: String,
    pub(super) hash: u64,
    pub(super) weight: f64,
}

/// The bid of a shard for an event or a pair. The greatest bid has the highest score.
#[derive(Clone, Debug)]
pub(super) struct Bid<'a> {
    pub(super) place: usize,
    pub(super) shard: &'a Candidate,
    draw: u64,
    score: OnceCell<f64>,
}

impl Candidate {
    pub(super) fn new(name: String, weight: f64) -> Result<Self> {
        check_name("shard", &name)?;
        if !(Placement::MIN_WEIGHT..=Placement::MAX_WEIGHT).contains(&weight) {
            let reason = format!("{weight} of shard {name:?} is not within 0.001 to 1000");
            return Err(Error::invalid_input("weight", reason));
        }
        Ok(Self { hash: hash_of_name(&name), name, weight })
    }

    pub(super) fn bid(&self, place: usize, key: u64) -> Bid<'_> {
        let draw = xxh3_64(&(u128::from(key) << 64 | u128::from(self.hash)).to_le_bytes());
        Bid { place, shard: self, draw, score: OnceCell::new() }
    }
}

impl Bid<'_> {
    /// Two draws further apart than this have scores in the same order, if the weights are equal.
    ///
    /// The logarithms of such draws differ by 2^-40 or more.
    /// The logarithm of a draw is below 37 and is off by at most one unit in the last place, 2^-47.
    /// The division is off by at most 2^-53 of its result.
    const CLOSE: u64 = 1 << 24;

    fn score(&self) -> f64 {
        *self.score.get_or_init(|| {
            // With one bit more, rounding would remove the half, and `u` could become 1.
            let u = ((self.draw >> 12) as f64 + 0.5) / (1_u64 << 52) as f64;
            -self.shard.weight / libm::log(u)
        })
    }
}

impl Ord for Bid<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        // Most shards have equal weights, and logarithms are the larger part of the cost.
        let of_one_weight = self.shard.weight.total_cmp(&other.shard.weight).is_eq();
        if of_one_weight && self.draw.abs_diff(other.draw) > Self::CLOSE {
            return self.draw.cmp(&other.draw);
        }
        let by_score = self.score().total_cmp(&other.score());
        let by_draw = || self.draw.cmp(&other.draw);
        by_score.then_with(by_draw).then_with(|| other.shard.name.cmp(&self.shard.name))
    }
}

impl PartialOrd for Bid<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Bid<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Bid<'_> {}

/// Returns the value that identifies a shard in draws and in cursors.
pub(super) fn hash_of_name(name: &str) -> u64 {
    xxh3_64(name.as_bytes())
}

pub(super) fn hash_of_event(event: &EventId) -> u64 {
    xxh3_64(event.as_str().as_bytes())
}

pub(super) fn hash_of_pair(Rsvp { user, event }: &Rsvp) -> u64 {
    let mut hash = Xxh3Default::new();
    hash.update(event.as_str().as_bytes());
    hash.update(&[0]);
    hash.update(user.as_str().as_bytes());
    hash.digest()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The documented order, without the short cut.
    fn documented(a: &Bid<'_>, b: &Bid<'_>) -> Ordering {
        let by_draw = || a.draw.cmp(&b.draw);
        let by_score = a.score().total_cmp(&b.score()).then_with(by_draw);
        by_score.then_with(|| b.shard.name.cmp(&a.shard.name))
    }

    /// Draws anywhere, close to each other, or at either end.
    fn draws() -> impl Strategy<Value = (u64, u64)> {
        let end = prop_oneof![0..1_u64 << 30, Just(u64::MAX)];
        let start = prop_oneof![any::<u64>(), end.clone(), end.prop_map(|end| !end)];
        let apart = prop_oneof![any::<u64>(), 0..1_u64 << 26, Just(Bid::CLOSE + 1)];
        (start, apart).prop_map(|(start, apart)| (start, start.saturating_add(apart)))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn bids_of_one_weight_are_in_the_documented_order((a, b) in draws(), weight in 0.001..1000.0) {
            let shard = |name: &str| Candidate::new(name.to_owned(), weight).unwrap();
            let (first, second) = (shard("a"), shard("b"));
            let a = Bid { place: 0, shard: &first, draw: a, score: OnceCell::new() };
            let b = Bid { place: 1, shard: &second, draw: b, score: OnceCell::new() };
            prop_assert_eq!(a.cmp(&b), documented(&a, &b));
            prop_assert_eq!(b.cmp(&a), documented(&b, &a));
        }
    }
}
