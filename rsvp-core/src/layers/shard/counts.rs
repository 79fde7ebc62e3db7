//! Counts over shards.

use futures_util::future::join_all;

use super::ShardedStore;
use super::targets::Targets;
use crate::{Count, EventId, Operation, ReadOptions, Result, RsvpStore};

impl<S: RsvpStore> ShardedStore<S> {
    /// Returns the counts of events that live on one shard each.
    pub(super) async fn counts_of_whole_events(
        &self,
        events: &[EventId],
        options: &ReadOptions,
    ) -> Result<Vec<Result<Count>>> {
        let operation = Operation::RsvpCount;
        match self.placement.targets_of_events(events) {
            Targets::One(place) => {
                let shard = self.shard_at(operation, place)?;
                let answered = shard.store.rsvp_count_batch(events, options).await;
                let answered = answered.map(|counts| (counts, ()));
                Ok(shard.results(operation, events.len(), answered).0)
            }
            Targets::Each(places) => self.scatter_counts(places, events, options).await,
        }
    }

    /// Returns the count of one event that lives on several shards.
    pub(super) async fn count_of_parts(
        &self,
        event: &EventId,
        options: &ReadOptions,
    ) -> Result<Vec<Result<Count>>> {
        let operation = Operation::RsvpCount;
        let events = std::slice::from_ref(event);
        let places = self.placement.places_of(event).into_iter();
        let calls = places.filter_map(|place| self.shards.get(place)).map(async |shard| {
            let answered = shard.store.rsvp_count_batch(events, options).await;
            shard.results(operation, 1, answered.map(|counts| (counts, ()))).0
        });
        // Ask all shards at once, and add their counts up.
        let mut count = Ok(Count::fresh(0));
        for part in join_all(calls).await.into_iter().flatten() {
            add(&mut count, part);
        }
        Ok(vec![count])
    }

    /// Returns the counts of events that live on several shards each.
    pub(super) async fn counts_of_parts(
        &self,
        events: &[EventId],
        options: &ReadOptions,
    ) -> Result<Vec<Result<Count>>> {
        // 1. List the shards of each event.
        let (mut places, mut asked) = (Vec::new(), Vec::new());
        for event in events {
            for place in self.placement.places_of(event) {
                places.push(place);
                asked.push(event.clone());
            }
        }
        // 2. Read the partial counts. Each event has the same number of them.
        let parts = self.scatter_counts(places, &asked, options).await?;
        let mut parts = parts.into_iter();
        // 3. Add them up.
        let sum = |_: &EventId| {
            let mut count = Ok(Count::fresh(0));
            parts.by_ref().take(self.placement.homes()).for_each(|part| add(&mut count, part));
            count
        };
        Ok(events.iter().map(sum).collect())
    }

    async fn scatter_counts(
        &self,
        places: Vec<usize>,
        events: &[EventId],
        options: &ReadOptions,
    ) -> Result<Vec<Result<Count>>> {
        let scattered = self.scatter(Operation::RsvpCount, places, events, |store, events| {
            let options = options.clone();
            Box::pin(async move { Ok((store.rsvp_count_batch(&events, &options).await?, ())) })
        });
        Ok(scattered.await?.0)
    }
}

/// Adds a part to a count. A count with a missing part is an error, never a lower number.
fn add(count: &mut Result<Count>, part: Result<Count>) {
    match (count, part) {
        (Ok(count), Ok(part)) => {
            count.value = count.value.saturating_add(part.value);
            count.age = count.age.max(part.age);
        }
        (count @ Ok(_), Err(error)) => *count = Err(error),
        (Err(_), _) => {}
    }
}
