//! One store of a sharded store.

use std::sync::Arc;

use super::rendezvous::hash_of_name;

/// One store of a [`ShardedStore`](super::ShardedStore), with its name and weight.
///
/// ```
/// use rsvp_core::layers::Shard;
/// use rsvp_memory::MemoryStore;
///
/// let large = Shard::new("eu1", MemoryStore::new()).with_weight(2.0);
/// assert_eq!(large.name(), "eu1");
/// ```
#[derive(Clone, Debug)]
pub struct Shard<S> {
    pub(super) name: Arc<str>,
    pub(super) weight: f64,
    /// Identifies the shard in cursors, and orders the shards of listings.
    pub(super) hash: u64,
    pub(super) store: S,
}

impl<S> Shard<S> {
    /// Makes a shard of weight 1.
    ///
    /// The name decides which pairs live on the shard.
    /// It must be the same in every process, and for the life of the data.
    /// The store remembers it from the first
    /// [`verify_placement`](super::ShardedStore::verify_placement) on.
    /// [`ShardedStore::new`](super::ShardedStore::new) checks the name.
    pub fn new(name: &str, store: S) -> Self {
        Self { name: name.into(), weight: 1.0, hash: hash_of_name(name), store }
    }

    /// Sets the weight. Twice the weight means twice the share of the RSVPs.
    #[must_use]
    pub fn with_weight(self, weight: f64) -> Self {
        Self { weight, ..self }
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the store of the shard.
    pub fn get_ref(&self) -> &S {
        &self.store
    }

    /// Returns the store of the shard, without the shard.
    pub fn into_inner(self) -> S {
        self.store
    }
}
