//! Calls to several shards at once.

use futures_util::future::{BoxFuture, join_all};

use super::{Shard, ShardedStore};
use crate::backend::{Part, check_answer_count, fail_all, partition, reorder};
use crate::{Error, Operation, Result, RsvpStore};

/// The results of a shard, one for each entry, and the metadata of the whole answer.
pub(super) type Answered<A, T> = Result<(Vec<Result<A>>, T)>;

impl<S> Shard<S> {
    /// Adds the name of this shard to an error.
    pub(super) fn named(&self, error: Error) -> Error {
        error.in_shard(self.name.clone())
    }

    /// Returns the results of this shard, one for each entry. Their errors name the shard.
    /// A failed shard fails its own entries.
    pub(super) fn results<A, T>(
        &self,
        operation: Operation,
        entries: usize,
        answered: Answered<A, T>,
    ) -> (Vec<Result<A>>, Option<T>) {
        let answered = answered.and_then(|(results, metadata)| {
            check_answer_count(operation, entries, results.len())?;
            Ok((results, metadata))
        });
        match answered {
            Ok((mut results, metadata)) => {
                for result in &mut results {
                    if let Err(error) = result {
                        *error = self.named(error.clone());
                    }
                }
                (results, Some(metadata))
            }
            Err(error) => (fail_all(entries, &self.named(error)), None),
        }
    }
}

impl<S: RsvpStore> ShardedStore<S> {
    /// Returns the shard at a place in the order of the hashes.
    pub(super) fn shard_at(&self, operation: Operation, place: usize) -> Result<&Shard<S>> {
        self.shards.get(place).ok_or_else(|| Error::corrupt(operation, "there is no such shard"))
    }

    /// Calls every shard with its own entries, all at once,
    /// and puts the results into the order of the entries.
    /// The second value is the metadata of each shard's answer.
    pub(super) async fn scatter<'a, E: Clone, A, T>(
        &'a self,
        operation: Operation,
        places: Vec<usize>,
        entries: &[E],
        call: impl Fn(&'a S, Vec<E>) -> BoxFuture<'a, Answered<A, T>>,
    ) -> Result<(Vec<Result<A>>, Vec<T>)> {
        // 1. Divide the entries by shard.
        let parts = partition(places.into_iter().zip(entries), |(place, _)| *place);
        let calls = parts.into_iter().filter_map(|part| {
            let Part { target, entries, places } = part;
            let shard = self.shards.get(target)?;
            let entries = entries.into_iter().map(|(_, entry)| entry.clone()).collect();
            let call = call(&shard.store, entries);
            Some(async move {
                let (results, metadata) = shard.results(operation, places.len(), call.await);
                ((places, results), metadata)
            })
        });
        // 2. Call all shards at once.
        let calls: Vec<_> = calls.collect();
        let (answered, metadata): (Vec<_>, Vec<_>) = join_all(calls).await.into_iter().unzip();
        // 3. Put the results into the order of the entries.
        Ok((reorder(operation, answered)?, metadata.into_iter().flatten().collect()))
    }
}
