//! Which pair lives on which shard.

use std::cmp::Ordering;

use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

use crate::backend::check_name;
use crate::{Error, EventId, Result, Rsvp};

/// Which shards an event lives on, and which of them a pair lives on.
///
/// Pure: it follows from the names and weights of the shards and the `spread`, whatever the order
/// they are listed in, in every process and every version of this library. It needs no store, so
/// that an old and a new placement can be compared to find out what must move:
///
/// ```
/// use rsvp_core::layers::Placement;
/// use rsvp_core::{EventId, Rsvp, UserId};
///
/// let old = Placement::new([("eu1", 1.0), ("eu2", 1.0)], 1)?;
/// let new = Placement::new([("eu1", 1.0), ("eu2", 1.0), ("eu3", 2.0)], 1)?;
/// let pair = Rsvp::new(UserId::new("ann")?, EventId::new("fair")?);
/// if old.shard_of(&pair) != new.shard_of(&pair) {
///     assert_eq!(new.shard_of(&pair), "eu3", "only the new shard takes over pairs");
/// }
/// # Ok::<(), rsvp_core::Error>(())
/// ```
///
/// # Algorithm
///
/// Rendezvous hashing (Thaler and Ravishankar, "Using Name-Based Mappings to Increase Hit Rates",
/// 1998), weighted by the logarithm method (Schindelhauer and Schomaker, "Weighted Distributed
/// Hash Tables", 2005; Jason Resch, "New Hashing Algorithms for Data Storage", 2015), twice:
///
/// - Hashes are XXH3 of 64 bits with seed 0: of a shard its name, of an event its id, of a pair
///   the event's id, a zero byte (which is in no id) and the user's id, all in UTF-8.
/// - A shard draws for an event or a pair the hash of 16 bytes: the shard's hash, then that of the
///   event or pair, each in little-endian order.
/// - `u` is the draw's upper 52 bits and a half, divided by 2^52: above 0, below 1 and exact. The
///   score is `-weight / ln(u)`, with `ln` as the crate `libm` computes it on every platform. The
///   higher score wins, then the larger draw, then the name that sorts first.
/// - An event lives on the `spread` shards that score highest for it. A pair lives on that one of
///   them which scores highest for the pair.
///
/// # What moves when a shard is added
///
/// With a spread of 1, or one that covers all shards before and after: only what the new shard
/// takes over, its share by weight. When a shard is removed, only what it had.
///
/// With a spread in between more moves, because an event that comes to live on the new shard leaves
/// another one, whose pairs then go to all shards of the event. Of equal shards that become `n` in
/// number, `2s / (s + 1) / n` of all pairs move with a spread of `s`, less than twice the least
/// (`1 / n`, which goes to the new shard; the rest goes from old shards to old ones). Of a single
/// event it is nothing, or `2 / (s + 1)`.
///
/// # Weights
///
/// Shares follow the weights with a spread of 1 or one that covers all shards. In between, heavier
/// shards get somewhat more than their weight: they win more events, and more pairs of each.
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    /// Sorted by hash. Never none.
    shards: Vec<Candidate>,
    spread: usize,
}

#[derive(Clone, Debug, PartialEq)]
struct Candidate {
    name: String,
    hash: u64,
    weight: f64,
}

/// What a shard offers for an event or a pair.
#[derive(Clone, Copy)]
struct Bid<'a> {
    place: usize,
    shard: &'a Candidate,
    score: f64,
    draw: u64,
}

impl Placement {
    /// The most shards.
    pub const MAX_SHARDS: usize = 1024;
    /// The smallest weight.
    pub const MIN_WEIGHT: f64 = 0.001;
    /// The largest weight.
    pub const MAX_WEIGHT: f64 = 1000.0;

    /// A placement on shards with names and weights.
    ///
    /// Twice the weight is twice the share of pairs. `spread` is the number of shards that an
    /// event lives on; more than there are means all of them, however many are added.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field
    /// - `shard`: none or more than 1,024; a name that is not 1 to 64 ASCII letters, digits, `.`,
    ///   `_` and `-`, or is given twice.
    /// - `weight`: not within 0.001 to 1,000.
    /// - `spread`: zero.
    pub fn new(
        shards: impl IntoIterator<Item = (impl Into<String>, f64)>,
        spread: usize,
    ) -> Result<Self> {
        let shards = shards.into_iter().map(|(name, weight)| Candidate::new(name.into(), weight));
        let mut shards = shards.take(Self::MAX_SHARDS + 1).collect::<Result<Vec<_>>>()?;
        if !(1..=Self::MAX_SHARDS).contains(&shards.len()) {
            let reason = format!("there must be 1 to {} shards", Self::MAX_SHARDS);
            return Err(Error::invalid_input("shard", reason));
        }
        if spread == 0 {
            return Err(Error::invalid_input(
                "spread",
                "is zero; an event lives on 1 shard or more",
            ));
        }
        shards.sort_by_key(|shard| shard.hash);
        // Names of one hash would draw alike, and cursors could not tell them apart.
        let repeated = shards.iter().zip(shards.iter().skip(1)).find(|(a, b)| a.hash == b.hash);
        if let Some((a, b)) = repeated {
            let reason = format!("{:?} and {:?} have the same name or hash", a.name, b.name);
            return Err(Error::invalid_input("shard", reason));
        }
        Ok(Self { shards, spread })
    }

    /// A fingerprint of the placement: XXH3 of 64 bits over the spread, and the hash and the weight
    /// of each shard in the order of the hashes, each as 8 bytes in little-endian order.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = Xxh3Default::new();
        hasher.update(&(self.spread as u64).to_le_bytes());
        for Candidate { hash, weight, .. } in &self.shards {
            hasher.update(&hash.to_le_bytes());
            hasher.update(&weight.to_le_bytes());
        }
        hasher.digest()
    }

    /// The number of shards that an event lives on, as it was given.
    pub fn spread(&self) -> usize {
        self.spread
    }

    /// The names and weights of the shards, in the order of their hashes.
    pub fn shards(&self) -> impl ExactSizeIterator<Item = (&str, f64)> {
        self.shards.iter().map(|shard| (shard.name.as_str(), shard.weight))
    }

    /// The names of the shards that `event` lives on, highest score first.
    pub fn shards_of(&self, event: &EventId) -> Vec<&str> {
        self.top(event).into_iter().map(|bid| bid.shard.name.as_str()).collect()
    }

    /// The name of the shard that `pair` lives on.
    pub fn shard_of(&self, pair: &Rsvp) -> &str {
        self.winner(pair).map_or("", |bid| bid.shard.name.as_str())
    }

    /// As [`shards_of`](Self::shards_of), by their places in the order of their hashes.
    pub(crate) fn places_of(&self, event: &EventId) -> Vec<usize> {
        self.top(event).into_iter().map(|bid| bid.place).collect()
    }

    /// As [`shard_of`](Self::shard_of), by its place in the order of their hashes.
    pub(crate) fn place_of(&self, pair: &Rsvp) -> usize {
        self.winner(pair).map_or(0, |bid| bid.place)
    }

    fn winner(&self, pair: &Rsvp) -> Option<Bid<'_>> {
        if self.spread == 1 {
            return self.bids(hash_of_event(&pair.event)).max_by(order);
        }
        let key = hash_of_pair(pair);
        if self.spread >= self.shards.len() {
            return self.bids(key).max_by(order);
        }
        let homes = self.top(&pair.event).into_iter();
        homes.map(|home| home.shard.bid(home.place, key)).max_by(order)
    }

    fn top(&self, event: &EventId) -> Vec<Bid<'_>> {
        let mut bids: Vec<_> = self.bids(hash_of_event(event)).collect();
        bids.sort_unstable_by(|a, b| order(b, a));
        bids.truncate(self.spread);
        bids
    }

    fn bids(&self, key: u64) -> impl Iterator<Item = Bid<'_>> {
        self.shards.iter().enumerate().map(move |(place, shard)| shard.bid(place, key))
    }
}

impl Candidate {
    fn new(name: String, weight: f64) -> Result<Self> {
        check_name("shard", &name)?;
        if !(Placement::MIN_WEIGHT..=Placement::MAX_WEIGHT).contains(&weight) {
            let reason = format!("{weight} of shard {name:?} is not within 0.001 to 1000");
            return Err(Error::invalid_input("weight", reason));
        }
        Ok(Self { hash: hash_of_name(&name), name, weight })
    }

    fn bid(&self, place: usize, key: u64) -> Bid<'_> {
        let draw = xxh3_64(&(u128::from(key) << 64 | u128::from(self.hash)).to_le_bytes());
        // With one bit more the half would be rounded away, and up to a `u` of 1.
        let u = ((draw >> 12) as f64 + 0.5) / (1_u64 << 52) as f64;
        Bid { place, shard: self, score: -self.weight / libm::log(u), draw }
    }
}

fn order(a: &Bid<'_>, b: &Bid<'_>) -> Ordering {
    let by_draw = || a.draw.cmp(&b.draw);
    a.score.total_cmp(&b.score).then_with(by_draw).then_with(|| b.shard.name.cmp(&a.shard.name))
}

/// What tells a shard from others, in draws and in cursors.
pub(crate) fn hash_of_name(name: &str) -> u64 {
    xxh3_64(name.as_bytes())
}

fn hash_of_event(event: &EventId) -> u64 {
    xxh3_64(event.as_str().as_bytes())
}

fn hash_of_pair(Rsvp { user, event }: &Rsvp) -> u64 {
    let mut hash = Xxh3Default::new();
    hash.update(event.as_str().as_bytes());
    hash.update(&[0]);
    hash.update(user.as_str().as_bytes());
    hash.digest()
}
