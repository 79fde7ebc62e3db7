//! Many stores as one.

mod cursor;
mod error;
mod listing;
mod maintenance;
mod member;
mod placement;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{BoxFuture, join_all};

pub use self::error::ShardError;
pub use self::member::Shard;
pub use self::placement::Placement;
use crate::backend::{Part, check_answer_count, combine, fail_all, partition, reorder};
use crate::{
    BatchReceipt, Count, Effect, Error, EventId, Label, LabelName, Maintenance, Operation, Page,
    PageLimit, PageRequest, ReadOptions, RemovalStep, Result, Rsvp, RsvpStore, SessionToken,
    UserId, Write, WriteOptions,
};

/// The results of a shard, one for each entry, and the metadata of the whole answer.
type Scattered<'a, A, T> = BoxFuture<'a, Result<(Vec<Result<A>>, T)>>;

/// Many stores as one: each event lives on `spread` of them, each pair on one.
///
/// - **Where** is a pure function of the shards' names and weights and the spread: see
///   [`Placement`]. The order of the shards means nothing.
/// - **Writes and questions** go to the shards of their pairs, all at once, one call for each
///   shard; **counts** are added up from the `spread` shards of each event. An
///   event's **attendees** are listed from its shards one after another, a **user's events** from
///   every shard at once, and a scan goes through all shards.
/// - **Labels** are kept by the first shard, in the order of the hashes of their names.
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
/// user and scans need all, and so does [`ready`](RsvpStore::ready), for a write may go to any.
///
/// Waits are those of the slowest shard: give each a [`TimeoutStore`](crate::layers::TimeoutStore) if it
/// has no timeouts of its own.
///
/// With other names, weights or another spread pairs live elsewhere, and what was stored is not
/// found there: it must be moved first. Engines distribute better than this where they can (a Redis
/// Cluster, a distributed Postgres): shards are for what is beyond one of those.
///
/// ```
/// use rsvp_core::layers::{Shard, ShardedStore};
/// use rsvp_core::{EventId, Result, RsvpStore, RsvpStoreExt, UserId};
///
/// async fn example<S: RsvpStore>(eu1: S, eu2: S) -> Result<()> {
///     let store = ShardedStore::new([Shard::new("eu1", eu1), Shard::new("eu2", eu2)], 1)?;
///     store.rsvp(&UserId::from(1), &EventId::new("fair")?).await?;
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct ShardedStore<S> {
    /// In the order of their hashes, as in the placement.
    shards: Vec<Shard<S>>,
    placement: Placement,
}

impl<S: RsvpStore> ShardedStore<S> {
    /// Makes one store of many.
    ///
    /// # Errors
    ///
    /// As [`Placement::new`].
    pub fn new(shards: impl IntoIterator<Item = Shard<S>>, spread: usize) -> Result<Self> {
        let mut shards: Vec<_> = shards.into_iter().collect();
        shards.sort_by_key(|shard| shard.hash);
        let names = shards.iter().map(|shard| (shard.name.to_string(), shard.weight));
        let placement = Placement::new(names, spread)?;
        Ok(Self { shards, placement })
    }

    /// Who lives where.
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

    fn shards_of(&self, event: &EventId) -> Vec<&Shard<S>> {
        let mut places = self.placement.places_of(event);
        places.sort_unstable();
        places.into_iter().filter_map(|place| self.shards.get(place)).collect()
    }

    /// Partitions entries over shards, calls every shard with its own at once, and puts the results
    /// into the order of the entries. The second value is the metadata of each shard's answer. A
    /// shard that fails fails its own entries.
    async fn scatter<'a, E: Clone, A, T>(
        &'a self,
        operation: Operation,
        entries: &[E],
        place: impl Fn(&E) -> usize,
        call: impl Fn(&'a S, Vec<E>) -> Scattered<'a, A, T>,
    ) -> Result<(Vec<Result<A>>, Vec<T>)> {
        let parts = partition(entries.iter().cloned(), place);
        let calls = parts.into_iter().filter_map(|part| {
            let Part { target, entries, places } = part;
            let shard = self.shards.get(target)?;
            let call = call(&shard.store, entries);
            Some(async move {
                let answered = call.await.and_then(|(results, metadata)| {
                    check_answer_count(operation, places.len(), results.len())?;
                    Ok((results, metadata))
                });
                let (results, metadata) = match answered {
                    Ok((results, metadata)) => (results, Some(metadata)),
                    Err(error) => (fail_all(places.len(), &error), None),
                };
                let in_shard =
                    |result: Result<A>| result.map_err(|error| error.in_shard(shard.name.clone()));
                ((places, results.into_iter().map(in_shard).collect::<Vec<_>>()), metadata)
            })
        });
        let calls: Vec<_> = calls.collect();
        let (answered, metadata): (Vec<_>, Vec<_>) = join_all(calls).await.into_iter().unzip();
        Ok((reorder(operation, answered)?, metadata.into_iter().flatten().collect()))
    }

    /// A listing of a subject over these shards: its cursors are those of this placement.
    fn listing(&self, operation: Operation, subject: &str) -> (Operation, String) {
        (operation, format!("{:x} {subject}", self.placement.fingerprint()))
    }

    /// The shard that keeps the labels of all shards as one: the first in the order of hashes.
    fn shard_of_labels(&self, operation: Operation) -> Result<&Shard<S>> {
        self.shards.first().ok_or_else(|| Error::corrupt(operation, "there are no shards"))
    }

    /// Steps through shards until `limit` RSVPs are gone.
    async fn remove<'a>(
        &'a self,
        shards: Vec<&'a Shard<S>>,
        limit: PageLimit,
        step: impl Fn(&'a S, PageLimit) -> BoxFuture<'a, Result<RemovalStep>>,
    ) -> Result<RemovalStep> {
        let mut all = RemovalStep::new(0, true, SessionToken::new());
        let mut left = Some(limit);
        for shard in shards {
            let Some(limit) = left else { return Ok(all) };
            let step = match step(&shard.store, limit).await {
                Ok(step) => step,
                // The RSVPs that are gone are told. The next step will meet the error again.
                Err(error) if all.removed > 0 && error.effect() == Effect::NotApplied => {
                    return Ok(all);
                }
                Err(error) => {
                    let before = if all.removed > 0 { Effect::Unknown } else { Effect::NotApplied };
                    let effect = error.effect().and(before);
                    return Err(error.in_shard(shard.name.clone()).with_effect(effect));
                }
            };
            all.removed = all.removed.saturating_add(step.removed);
            all.repeated |= step.repeated;
            all.token.merge(&step.token);
            if step.more {
                return Ok(all);
            }
            left = listing::less(limit, usize::try_from(step.removed).unwrap_or(usize::MAX));
        }
        Ok(RemovalStep { more: false, ..all })
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

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: RsvpStore> RsvpStore for ShardedStore<S> {
    async fn write_batch(&self, writes: &[Write], options: &WriteOptions) -> Result<BatchReceipt> {
        let place = |write: &Write| self.placement.place_of(&write.rsvp);
        let scattered = self.scatter(Operation::Write, writes, place, |store, writes| {
            let options = options.clone();
            Box::pin(async move {
                let receipt = store.write_batch(&writes, &options).await?;
                Ok((receipt.results, receipt.token))
            })
        });
        let (results, tokens) = scattered.await?;
        let mut token = SessionToken::new();
        tokens.iter().for_each(|of_shard| token.merge(of_shard));
        Ok(BatchReceipt::new(results, token))
    }

    async fn has_rsvped_batch(
        &self,
        pairs: &[Rsvp],
        options: &ReadOptions,
    ) -> Result<Vec<Result<bool>>> {
        let place = |pair: &Rsvp| self.placement.place_of(pair);
        let scattered = self.scatter(Operation::HasRsvped, pairs, place, |store, pairs| {
            let options = options.clone();
            Box::pin(async move { Ok((store.has_rsvped_batch(&pairs, &options).await?, ())) })
        });
        Ok(scattered.await?.0)
    }

    async fn rsvp_count_batch(
        &self,
        events: &[EventId],
        options: &ReadOptions,
    ) -> Result<Vec<Result<Count>>> {
        // For each event, each of the shards that have a part of it.
        let asked: Vec<(usize, usize, &EventId)> = (0..)
            .zip(events)
            .flat_map(|(at, event)| {
                let places = self.placement.places_of(event).into_iter();
                places.map(move |place| (at, place, event))
            })
            .collect();
        let place = |(_, place, _): &(usize, usize, &EventId)| *place;
        let scattered = self.scatter(Operation::RsvpCount, &asked, place, |store, asked| {
            let events: Vec<EventId> = asked.into_iter().map(|(.., event)| event.clone()).collect();
            let options = options.clone();
            Box::pin(async move { Ok((store.rsvp_count_batch(&events, &options).await?, ())) })
        });
        // A count that lacks a part is an error, never a lower number.
        let mut counts: Vec<_> = events.iter().map(|_| Ok(Count::fresh(0))).collect();
        for ((at, ..), part) in asked.iter().zip(scattered.await?.0) {
            match (counts.get_mut(*at), part) {
                (Some(Ok(count)), Ok(part)) => {
                    count.value = count.value.saturating_add(part.value);
                    count.age = count.age.max(part.age);
                }
                (Some(count @ Ok(_)), Err(error)) => *count = Err(error),
                (Some(Err(_)) | None, _) => {}
            }
        }
        Ok(counts)
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        let list = self.list(
            self.listing(Operation::Attendees, event.as_str()),
            self.shards_of(event),
            request,
            |store, page| {
                let event = event.clone();
                Box::pin(async move { store.attendees_page(&event, &page).await })
            },
        );
        list.await
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        let all = self.shards.iter().collect();
        let list = self.list_at_once(
            self.listing(Operation::EventsOf, user.as_str()),
            all,
            request,
            |store, page| {
                let user = user.clone();
                Box::pin(async move { store.events_of_page(&user, &page).await })
            },
        );
        list.await
    }

    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
        let all = self.shards.iter().collect();
        let list = self.list(self.listing(Operation::Scan, ""), all, request, |store, page| {
            Box::pin(async move { store.scan_page(&page).await })
        });
        list.await
    }

    async fn remove_event_step(
        &self,
        event: &EventId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        let removal = self.remove(self.shards_of(event), limit, |store, limit| {
            let (event, options) = (event.clone(), options.clone());
            Box::pin(async move { store.remove_event_step(&event, limit, &options).await })
        });
        removal.await
    }

    async fn remove_user_step(
        &self,
        user: &UserId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        let removal = self.remove(self.shards.iter().collect(), limit, |store, limit| {
            let (user, options) = (user.clone(), options.clone());
            Box::pin(async move { store.remove_user_step(&user, limit, &options).await })
        });
        removal.await
    }

    async fn label(&self, name: &LabelName, options: &ReadOptions) -> Result<Option<Label>> {
        let shard = self.shard_of_labels(Operation::Label)?;
        let label = shard.store.label(name, options).await;
        label.map_err(|error| error.in_shard(shard.name.clone()))
    }

    async fn replace_label(
        &self,
        name: &LabelName,
        expected: Option<&Label>,
        value: &Label,
        options: &WriteOptions,
    ) -> Result<Option<Label>> {
        let shard = self.shard_of_labels(Operation::ReplaceLabel)?;
        let label = shard.store.replace_label(name, expected, value, options).await;
        label.map_err(|error| error.in_shard(shard.name.clone()))
    }

    async fn ready(&self) -> Result<()> {
        let ready = self.shards.iter().map(async |shard| {
            shard.store.ready().await.map_err(|error| error.in_shard(shard.name.clone()))
        });
        combine(join_all(ready).await).map(drop)
    }

    async fn close(&self) -> Result<()> {
        let close = self.shards.iter().map(async |shard| {
            shard.store.close().await.map_err(|error| error.in_shard(shard.name.clone()))
        });
        combine(join_all(close).await).map(drop)
    }

    fn settling_time(&self) -> Duration {
        let times = self.shards.iter().map(|shard| shard.store.settling_time());
        times.max().unwrap_or_default()
    }

    fn maintenance(&self) -> Option<&dyn Maintenance> {
        let audited = self.shards.iter().any(|shard| shard.store.maintenance().is_some());
        audited.then_some(self)
    }
}
