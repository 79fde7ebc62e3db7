//! Several stores as one (sharding).

mod calls;
mod claim;
mod counts;
mod cursor;
mod error;
mod listing;
mod maintenance;
mod member;
mod placement;
mod record;
mod removal;
mod rendezvous;
mod scatter;
mod targets;

use std::collections::BTreeMap;
use std::fmt;

pub use self::error::ShardError;
pub use self::member::Shard;
pub use self::placement::Placement;
use crate::{Operation, ReadyPolicy, Result, RsvpStore};

/// Several stores as one. Each event lives on `spread` shards, and each pair on one of them.
///
/// - The [`Placement`] of a pair is a pure function of the shards' names and weights,
///   and of the spread. The order of the shards has no effect.
/// - **Writes and membership reads** go to the shards of their pairs, all at once,
///   with one call for each shard. **Counts** are added up from the `spread` shards of each event.
/// - **Lists** of an event's attendees read its shards at once.
///   Lists of a user's events read all shards. A **scan** reads one shard after another.
/// - **Labels** are kept by the first shard, in the order of the hashes of the names.
///   `rsvp.shard` is the shard's own label.
///   A label with this name, with any number of dots behind it, gets one dot more in the shard.
///   With 54 dots the name would be too long, and is refused.
/// - **Session tokens** of several shards are merged into one.
///   It grows with the number of engines, not of shards.
///
/// A spread of 1 keeps an event together.
/// A count is one call, and one shard bounds the load of a hot event.
/// A higher spread divides every event.
///
/// # Guarantees kept and weakened
///
/// The contract holds. A batch is not a transaction, and sharding does not change that.
/// If a shard fails, its own entries fail, and the entries of other shards hold.
/// Errors keep their kind and effect. Their source is a [`ShardError`] with the name of the shard.
/// A count without all shards of its event is an error, never a lower number.
///
/// With a spread above 1 a count is a sum of partial counts.
/// Each was exact while the read ran, but not at the same moment.
/// If one user leaves as another comes, the count may see only one of these writes.
///
/// The more shards there are, the likelier one of them is down.
/// Calls to other shards go on, but lists of a user and scans need all shards.
/// [`ready`](RsvpStore::ready) needs half of them by default,
/// see [`with_ready_policy`](Self::with_ready_policy).
/// [`health`](RsvpStore::health) names the failed shards.
///
/// A call waits for its slowest shard.
/// Put a [`TimeoutStore`](crate::layers::TimeoutStore) around each shard without timeouts
/// of its own.
///
/// An engine that distributes by itself (a Redis Cluster, a distributed Postgres) does it better.
/// Use shards for data beyond one engine.
///
/// # One list of shards
///
/// With other names, weights or another spread, pairs live on other shards,
/// and stored RSVPs are not found there. They must be moved first.
/// [`verify_placement`](Self::verify_placement) refuses such a list.
/// Call it each time that code makes a sharded store. `rsvp::open` calls it.
///
/// # Lists
///
/// - Each shard is asked for its share of a page, and the page has all fetched items.
///   If some shards have fewer items, the rest is asked for until half of the page is full.
///   So a page may be short without being the last,
///   and a page of full shares costs the time of one call.
/// - At most 16 shards of an event and 64 of a user are listed at the same time.
/// - A cursor has the cursors of the shards in progress.
///   It is at most 1,051 bytes longer than the longest of these.
///   Long ids, or shards of shards, may need more than 1 KiB.
///   The last shards of a call are then asked again later.
/// - A cursor has the [fingerprint](Placement::fingerprint) of the placement.
///   A cursor of another placement is refused.
/// - A list without a shard is an error, never a shorter list.
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
    /// Makes one store of several shards.
    /// It does not connect, see [`verify_placement`](Self::verify_placement).
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

    /// Sets the part of the shards that must accept writes for [`ready`](RsvpStore::ready)
    /// to succeed. Defaults to half of them.
    ///
    /// ```
    /// use rsvp_core::layers::{Shard, ShardedStore};
    /// use rsvp_core::{ReadyPolicy, Result};
    /// use rsvp_memory::MemoryStore;
    ///
    /// let shards = ["eu1", "eu2"].map(|name| Shard::new(name, MemoryStore::new()));
    /// let store = ShardedStore::new(shards, 1)?.with_ready_policy(ReadyPolicy::All);
    /// # Ok::<(), rsvp_core::Error>(())
    /// ```
    #[must_use]
    pub fn with_ready_policy(self, policy: ReadyPolicy) -> Self {
        Self { ready_policy: policy, ..self }
    }

    /// Returns the placement of events and pairs on the shards.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// Returns the shards, in the order of a scan.
    pub fn shards(&self) -> &[Shard<S>] {
        &self.shards
    }

    /// Returns the shards, without the sharded store.
    pub fn into_inner(self) -> Vec<Shard<S>> {
        self.shards
    }

    /// Returns the listing of a subject over these shards. Its cursors are bound to this placement.
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
