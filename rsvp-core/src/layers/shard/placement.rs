//! Which pair lives on which shard.

use xxhash_rust::xxh3::Xxh3Default;

use super::bid::{Bid, Candidate, hash_of_event, hash_of_pair};
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
    fingerprint: u64,
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
        let fingerprint = fingerprint(&shards, spread);
        Ok(Self { shards, spread, fingerprint })
    }

    /// A fingerprint of the placement: XXH3 of 64 bits with seed 0 over the spread, and the hash
    /// and the weight of each shard in the order of the hashes, each as 8 bytes in little-endian
    /// order.
    ///
    /// It is the same in every process and every version of this library. Shards keep it in their
    /// stores, and cursors of listings carry it.
    ///
    /// ```
    /// use rsvp_core::layers::Placement;
    ///
    /// let placement = Placement::new([("eu1", 1.0), ("eu2", 2.5)], 2)?;
    /// assert_eq!(placement.fingerprint(), 0x8ae3_cb77_7a90_24f3);
    /// # Ok::<(), rsvp_core::Error>(())
    /// ```
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
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
        let mut homes = self.highest(hash_of_event(event));
        homes.sort_unstable_by(|a, b| b.cmp(a));
        homes.into_iter().map(|bid| bid.shard.name.as_str()).collect()
    }

    /// The name of the shard that `pair` lives on.
    pub fn shard_of(&self, pair: &Rsvp) -> &str {
        self.shards.get(self.place_of(pair)).map_or("", |shard| shard.name.as_str())
    }

    /// The number of shards that an event lives on, at most all.
    pub(super) fn homes(&self) -> usize {
        self.spread.min(self.shards.len())
    }

    /// As [`shards_of`](Self::shards_of), by their places in the order of their hashes, which is
    /// the order of this list.
    pub(super) fn places_of(&self, event: &EventId) -> Vec<usize> {
        if self.homes() == self.shards.len() {
            return (0..self.shards.len()).collect();
        }
        let homes = self.highest(hash_of_event(event));
        let mut places: Vec<usize> = homes.into_iter().map(|home| home.place).collect();
        places.sort_unstable();
        places
    }

    /// The place of the only shard that an event lives on, given the event's hash.
    pub(super) fn place_of_event(&self, event: u64) -> usize {
        self.bids(event).max().map_or(0, |bid| bid.place)
    }

    /// As [`shard_of`](Self::shard_of), by its place in the order of their hashes.
    pub(super) fn place_of(&self, pair: &Rsvp) -> usize {
        match self.homes() {
            1 => self.place_of_event(hash_of_event(&pair.event)),
            homes if homes == self.shards.len() => self.place_of_event(hash_of_pair(pair)),
            _ => place_among(&self.candidates_of(hash_of_event(&pair.event)), pair),
        }
    }

    /// The shards that an event lives on and their places, given the event's hash, in no order.
    pub(super) fn candidates_of(&self, event: u64) -> Vec<(usize, &Candidate)> {
        self.highest(event).into_iter().map(|bid| (bid.place, bid.shard)).collect()
    }

    /// The highest bids for an event, in no order.
    fn highest(&self, event: u64) -> Vec<Bid<'_>> {
        let mut bids: Vec<_> = self.bids(event).collect();
        let homes = self.homes();
        if homes < bids.len() {
            bids.select_nth_unstable_by(homes, |a, b| b.cmp(a));
            bids.truncate(homes);
        }
        bids
    }

    fn bids(&self, key: u64) -> impl Iterator<Item = Bid<'_>> {
        self.shards.iter().enumerate().map(move |(place, shard)| shard.bid(place, key))
    }
}

/// The place of that shard among those of the pair's event which scores highest for the pair.
pub(super) fn place_among(homes: &[(usize, &Candidate)], pair: &Rsvp) -> usize {
    let key = hash_of_pair(pair);
    let bids = homes.iter().map(|(place, shard)| shard.bid(*place, key));
    bids.max().map_or(0, |bid| bid.place)
}

fn fingerprint(shards: &[Candidate], spread: usize) -> u64 {
    let mut hasher = Xxh3Default::new();
    hasher.update(&(spread as u64).to_le_bytes());
    for Candidate { hash, weight, .. } in shards {
        hasher.update(&hash.to_le_bytes());
        hasher.update(&weight.to_le_bytes());
    }
    hasher.digest()
}
