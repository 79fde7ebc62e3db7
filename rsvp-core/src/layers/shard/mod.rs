//! Many stores as one.

mod bid;
mod calls;
mod claim;
mod counts;
mod cursor;
mod error;
mod homes;
mod listing;
mod maintenance;
mod member;
mod placement;
mod record;
mod removal;
mod scatter;

use std::collections::BTreeMap;
use std::fmt;

pub use self::error::ShardError;
pub use self::member::Shard;
pub use self::placement::Placement;
use crate::{Operation, ReadyPolicy, Result, RsvpStore};

/// Many stores as one: each event lives on `spread` of them, each pair on one.
///
/// - **Where** is a pure function of the shards' names and weights and the spread: see
///   [`Placement`]. The order of the shards means nothing.
/// - **Writes and questions** go to the shards of their pairs, all at once, one call for each
///   shard; **counts** are added up from the `spread` shards of each event.
/// - **Lists** of an event's attendees ask its shards at once, and lists of a user's events all
///   shards. A **scan** reads one shard after another.
/// - **Labels** are kept by the first shard, in the order of the hashes of their names. Labels
///   named `rsvp.shard`, with any number of dots behind it, get one dot more there, because
///   `rsvp.shard` is the shard's own. With 54 dots the name is refused, as it would be too long.
/// - **Session tokens** of several shards are merged into one, which grows with engines, not with
///   shards.
///
/// A spread of 1 keeps an event together: one call for a count, and a hot event is bound by what
/// one shard can take. A higher one divides every event.
///
/// # What it preserves, and what it weakens
///
/// The contract is kept. A batch is not a transaction, and sharding does not change that:
/// if a shard fails, its own entries fail, and the other shards' entries hold. Errors keep their
/// kind and effect, and their source is a [`ShardError`] that names the shard. A count that cannot
/// be had from every shard of its event is an error, never a lower number.
///
/// With a spread above 1 a count is a sum of numbers that were each exact while the read ran, not
/// all at the same moment: of two users of whom one leaves as the other comes, it may see one half.
///
/// The more shards, the likelier is one of them down: calls to other shards go on, but lists of a
/// user and scans need all. [`ready`](RsvpStore::ready) needs half of them, unless
/// [`with_ready_policy`](Self::with_ready_policy) says otherwise, and
/// [`health`](RsvpStore::health) tells which are down.
///
/// Waits are those of the slowest shard: give each a [`TimeoutStore`](crate::layers::TimeoutStore) if it
/// has no timeouts of its own.
///
/// Engines distribute better than this where they can (a Redis Cluster, a distributed Postgres):
/// shards are for what is beyond one of those.
///
/// # One list of shards
///
/// With other names, weights or another spread pairs live elsewhere, and RSVPs that were stored are
/// not found there: they must be moved first. [`verify_placement`](Self::verify_placement) refuses
/// such a list. Call it each time that a store has been made by code. `rsvp::open` does.
///
/// # Lists
///
/// - Each shard is asked for its share of a page, and all items that are fetched are returned. If
///   some shards have fewer, the rest is asked for until half of the page is full. So a page may be
///   short without being the last, and a page of full shares costs the time of one call.
/// - At most 16 shards of an event and 64 of a user are listed at the same time.
/// - A cursor carries the cursors of the shards that are being listed. It is at most 1,051 bytes
///   longer than the longest of these. If more than 1 KiB is needed, which takes long ids or shards of
///   shards, the last shards of a call are asked again later.
/// - A cursor carries the [fingerprint](Placement::fingerprint) of the placement. One of another
///   placement is refused.
/// - A list that lacks a shard is an error, never a shorter list.
///
/// ```
/// use rsvp_core::layers::{Shard, ShardedStore};
/// use rsvp_core::{EventId, Result, RsvpStore, RsvpStoreExt, UserId, WriteOptions};
///
/// async fn example<S: RsvpStore>(eu1: S, eu2: S) -> Result<()> {
///     let store = ShardedStore::new([Shard::new("eu1", eu1), Shard::new("eu2", eu2)], 1)?;
///     store.verify_placement(&WriteOptions::default()).await?;
///     store.rsvp(&UserId::from(1), &EventId::new("fair")?).await?;
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct ShardedStore<S> {
    /// In the order of their hashes, as in the placement.
    shards: Vec<Shard<S>>,
    placement: Placement,
    ready_policy: ReadyPolicy,
}

impl<S: RsvpStore> ShardedStore<S> {
    /// Makes one store of many. It connects to nothing: see
    /// [`verify_placement`](Self::verify_placement).
    ///
    /// # Errors
    ///
    /// As [`Placement::new`].
    pub fn new(shards: impl IntoIterator<Item = Shard<S>>, spread: usize) -> Result<Self> {
        let mut shards: Vec<_> = shards.into_iter().collect();
        shards.sort_by_key(|shard| shard.hash);
        let names = shards.iter().map(|shard| (shard.name.to_string(), shard.weight));
        let placement = Placement::new(names, spread)?;
        Ok(Self { shards, placement, ready_policy: ReadyPolicy::default() })
    }

    /// Sets how many of the shards must accept writes for [`ready`](RsvpStore::ready) to succeed.
    /// Defaults to half of them.
    #[must_use]
    pub fn with_ready_policy(self, policy: ReadyPolicy) -> Self {
        Self { ready_policy: policy, ..self }
    }

    /// The placement of events and pairs on the shards.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// The shards, in the order in which a scan goes through them.
    pub fn shards(&self) -> &[Shard<S>] {
        &self.shards
    }

    /// The shards.
    pub fn into_inner(self) -> Vec<Shard<S>> {
        self.shards
    }

    /// A listing of a subject over these shards: its cursors are those of this placement.
    fn listing(&self, operation: Operation, subject: &str) -> (Operation, String) {
        (operation, format!("{:x} {subject}", self.placement.fingerprint()))
    }
}

impl<S: fmt::Debug> fmt::Debug for ShardedStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shards = self.shards.iter().map(|shard| (&shard.name, (shard.weight, &shard.store)));
        let shards: BTreeMap<_, _> = shards.collect();
        f.debug_struct("ShardedStore")
            .field("shards", &shards)
            .field("spread", &self.placement.spread())
            .finish()
    }
}
