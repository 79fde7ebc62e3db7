//! One store among several.

use std::sync::Arc;

use super::bid::hash_of_name;

/// One store of a [`ShardedStore`](super::ShardedStore), with its name and weight.
#[derive(Clone, Debug)]
pub struct Shard<S> {
    pub(super) name: Arc<str>,
    pub(super) weight: f64,
    /// Tells the shard from the others, in cursors and in the order of listings.
    pub(super) hash: u64,
    pub(super) store: S,
}

impl<S> Shard<S> {
    /// A shard of weight 1.
    ///
    /// The name decides which pairs live on it, so it must be the same wherever the data is used, and
    /// for as long as there is any. The store keeps it from the first
    /// [`verify_placement`](super::ShardedStore::verify_placement) on. Names are checked by [`ShardedStore::new`](super::ShardedStore::new).
    pub fn new(name: &str, store: S) -> Self {
        Self { name: name.into(), weight: 1.0, hash: hash_of_name(name), store }
    }

    /// The same with another weight: twice the weight is twice the share of the RSVPs.
    #[must_use]
    pub fn with_weight(self, weight: f64) -> Self {
        Self { weight, ..self }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The store inside.
    pub fn get_ref(&self) -> &S {
        &self.store
    }

    /// The store inside.
    pub fn into_inner(self) -> S {
        self.store
    }
}
