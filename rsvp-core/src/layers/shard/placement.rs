//! The placement of events and pairs on shards.

use xxhash_rust::xxh3::Xxh3Default;

use super::rendezvous::{Bid, Candidate, hash_of_event, hash_of_pair};
use crate::{Error, EventId, Result, Rsvp};

/// The shards of each event, and the shard of each pair.
///
/// A placement is a pure function of the names and weights of the shards and of the `spread`.
/// The order of the shards has no effect.
/// The result is the same in every process and every version of this library.
/// A placement needs no store, so a comparison of an old and a new one shows which pairs must move:
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
/// 1998), weighted by the logarithm method (Schindelhauer and Schomaker,
/// "Weighted Distributed Hash Tables", 2005; Jason Resch,
/// "New Hashing Algorithms for Data Storage", 2015), twice:
///
/// - Hashes are XXH3 of 64 bits with seed 0.
///   The hash of a shard is that of its name, the hash of an event that of its id.
///   The hash of a pair is that of the event's id, a zero byte (no id has one) and the user's id.
///   All texts are in UTF-8.
/// - The draw of a shard for an event or a pair is the hash of 16 bytes: the shard's hash,
///   then the hash of the event or pair, each in little-endian order.
/// - `u` is the draw's upper 52 bits and a half, divided by 2^52. It is above 0, below 1 and exact.
///   The score is `-weight / ln(u)`, with `ln` from the crate `libm` on every platform.
///   The higher score wins, then the larger draw, then the first name in order.
/// - An event lives on the `spread` shards with the highest scores for it.
///   A pair lives on the one of them with the highest score for the pair.
///
/// # Effect of a new shard
///
/// With a spread of 1, or with one of all shards before and after,
/// the new shard takes over its share by weight. Nothing else moves.
/// When a shard is removed, only its own pairs move.
///
/// With a spread in between more pairs move.
/// An event that comes to live on the new shard leaves another one,
/// and the pairs of the latter then go to all shards of the event.
/// With `n` equal shards after the change and a spread of `s`,
/// `2s / (s + 1) / n` of all pairs move.
/// This is less than twice the least possible part, `1 / n`.
/// That part goes to the new shard, and the rest moves between old shards.
/// Of a single event either nothing moves, or `2 / (s + 1)` of it.
///
/// # Weights
///
/// Shares follow the weights with a spread of 1 or with one of all shards.
/// In between, heavier shards get somewhat more than their weight, because they win more events,
/// and more pairs of each.
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    /// Sorted by hash. There is at least one.
    shards: Vec<Candidate>,
    spread: usize,
    fingerprint: u64,
}

impl Placement {
    /// The greatest number of shards.
    pub const MAX_SHARDS: usize = 1024;
    /// The smallest weight.
    pub const MIN_WEIGHT: f64 = 0.001;
    /// The largest weight.
    pub const MAX_WEIGHT: f64 = 1000.0;

    /// Makes a placement on shards with names and weights.
    ///
    /// Twice the weight means twice the share of pairs.
    /// `spread` is the number of shards of an event.
    /// A spread above the number of shards means all of them, even after more are added.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] with the field
    /// - `shard` if there is no shard or more than 1,024, or
    ///   if a name is specified twice or is not 1 to 64 ASCII letters, digits, `.`, `_` and `-`.
    /// - `weight` if it is not within 0.001 to 1,000.
    /// - `spread` if it is zero.
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
        // Two names of one hash would draw the same values, and cursors could not tell them apart.
        let repeated = shards.iter().zip(shards.iter().skip(1)).find(|(a, b)| a.hash == b.hash);
        if let Some((a, b)) = repeated {
            let reason = format!("{:?} and {:?} have the same name or hash", a.name, b.name);
            return Err(Error::invalid_input("shard", reason));
        }
        let fingerprint = fingerprint(&shards, spread);
        Ok(Self { shards, spread, fingerprint })
    }

    /// Returns the fingerprint of the placement: XXH3 of 64 bits with seed 0 over the spread,
    /// and the hash and the weight of each shard in the order of the hashes,
    /// each as 8 bytes in little-endian order.
    ///
    /// It is the same in every process and every version of this library.
    /// Shards keep it in their stores, and cursors of listings have it.
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

    /// Returns the configured number of shards of an event.
    pub fn spread(&self) -> usize {
        self.spread
    }

    /// Returns the names and weights of the shards, in the order of their hashes.
    pub fn shards(&self) -> impl ExactSizeIterator<Item = (&str, f64)> {
        self.shards.iter().map(|shard| (shard.name.as_str(), shard.weight))
    }

    /// Returns the names of the shards of `event`, highest score first.
    ///
    /// ```
    /// use rsvp_core::EventId;
    /// use rsvp_core::layers::Placement;
    ///
    /// let placement = Placement::new([("eu1", 1.0), ("eu2", 1.0), ("eu3", 1.0)], 2)?;
    /// assert_eq!(placement.shards_of(&EventId::new("fair")?).len(), 2);
    /// # Ok::<(), rsvp_core::Error>(())
    /// ```
    pub fn shards_of(&self, event: &EventId) -> Vec<&str> {
        let mut homes = self.highest(hash_of_event(event));
        homes.sort_unstable_by(|a, b| b.cmp(a));
        homes.into_iter().map(|bid| bid.shard.name.as_str()).collect()
    }

    /// Returns the name of the shard of `pair`.
    pub fn shard_of(&self, pair: &Rsvp) -> &str {
        self.shards.get(self.place_of(pair)).map_or("", |shard| shard.name.as_str())
    }

    /// Returns the number of shards of an event, at most all.
    pub(super) fn homes(&self) -> usize {
        self.spread.min(self.shards.len())
    }

    /// As [`shards_of`](Self::shards_of), by their places in the order of the hashes.
    /// This list has the same order.
    pub(super) fn places_of(&self, event: &EventId) -> Vec<usize> {
        if self.homes() == self.shards.len() {
            return (0..self.shards.len()).collect();
        }
        let homes = self.highest(hash_of_event(event));
        let mut places: Vec<usize> = homes.into_iter().map(|home| home.place).collect();
        places.sort_unstable();
        places
    }

    /// Returns the place of the only shard of an event, given the event's hash.
    pub(super) fn place_of_event(&self, event: u64) -> usize {
        self.bids(event).max().map_or(0, |bid| bid.place)
    }

    /// As [`shard_of`](Self::shard_of), by its place in the order of the hashes.
    pub(super) fn place_of(&self, pair: &Rsvp) -> usize {
        match self.homes() {
            1 => self.place_of_event(hash_of_event(&pair.event)),
            homes if homes == self.shards.len() => self.place_of_event(hash_of_pair(pair)),
            _ => place_among(&self.candidates_of(hash_of_event(&pair.event)), pair),
        }
    }

    /// Returns the shards of an event and their places, given the event's hash, in no order.
    pub(super) fn candidates_of(&self, event: u64) -> Vec<(usize, &Candidate)> {
        self.highest(event).into_iter().map(|bid| (bid.place, bid.shard)).collect()
    }

    /// Returns the highest bids for an event, in no order.
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

/// Returns the place of the home with the highest score for the pair.
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
