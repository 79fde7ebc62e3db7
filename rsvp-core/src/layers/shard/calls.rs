//! The calls of a sharded store.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;

use super::listing::Window;
use super::targets::Targets;
use super::{ShardedStore, claim};
use crate::backend::{combine, ready_by};
use crate::{
    BatchReceipt, Count, EventId, Health, Label, LabelName, Maintenance, Operation, Page,
    PageLimit, PageRequest, PartHealth, ReadOptions, RemovalStep, Result, Rsvp, RsvpStore,
    SessionToken, UserId, Write, WriteOptions,
};

impl<S: RsvpStore> ShardedStore<S> {
    /// Asks each shard whether it is ready.
    fn part_healths(&self) -> impl Iterator<Item = impl Future<Output = PartHealth>> {
        self.shards.iter().map(async |shard| {
            let ready = shard.store.ready().await.map_err(|error| shard.named(error));
            PartHealth::new(&*shard.name, ready)
        })
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: RsvpStore> RsvpStore for ShardedStore<S> {
    async fn write_batch(&self, writes: &[Write], options: &WriteOptions) -> Result<BatchReceipt> {
        let operation = Operation::Write;
        let answer = |receipt: BatchReceipt| (receipt.results, receipt.token);
        match self.placement.targets(writes.iter().map(|write| &write.rsvp)) {
            Targets::One(place) => {
                let shard = self.shard_at(operation, place)?;
                let receipt = shard.store.write_batch(writes, options).await.map(answer);
                let (results, token) = shard.results(operation, writes.len(), receipt);
                Ok(BatchReceipt::new(results, token.unwrap_or_default()))
            }
            Targets::Each(places) => {
                let scattered = self.scatter(operation, places, writes, |store, writes| {
                    let options = options.clone();
                    Box::pin(async move { store.write_batch(&writes, &options).await.map(answer) })
                });
                let (results, tokens) = scattered.await?;
                let mut token = SessionToken::new();
                tokens.iter().for_each(|of_shard| token.merge(of_shard));
                Ok(BatchReceipt::new(results, token))
            }
        }
    }

    async fn has_rsvped_batch(
        &self,
        pairs: &[Rsvp],
        options: &ReadOptions,
    ) -> Result<Vec<Result<bool>>> {
        let operation = Operation::HasRsvped;
        match self.placement.targets(pairs.iter()) {
            Targets::One(place) => {
                let shard = self.shard_at(operation, place)?;
                let answered = shard.store.has_rsvped_batch(pairs, options).await;
                let answered = answered.map(|results| (results, ()));
                Ok(shard.results(operation, pairs.len(), answered).0)
            }
            Targets::Each(places) => {
                let scattered = self.scatter(operation, places, pairs, |store, pairs| {
                    let options = options.clone();
                    Box::pin(
                        async move { Ok((store.has_rsvped_batch(&pairs, &options).await?, ())) },
                    )
                });
                Ok(scattered.await?.0)
            }
        }
    }

    async fn rsvp_count_batch(
        &self,
        events: &[EventId],
        options: &ReadOptions,
    ) -> Result<Vec<Result<Count>>> {
        match (self.placement.homes(), events) {
            (1, events) => self.counts_of_whole_events(events, options).await,
            (_, [event]) => self.count_of_parts(event, options).await,
            (_, events) => self.counts_of_parts(events, options).await,
        }
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        let listing = self.listing(Operation::Attendees, event.as_str());
        let homes = self.placement.places_of(event);
        let homes = homes.into_iter().filter_map(|place| self.shards.get(place)).collect();
        let list = self.list(listing, homes, Window::OF_EVENT, request, |store, page| {
            let event = event.clone();
            Box::pin(async move { store.attendees_page(&event, &page).await })
        });
        list.await
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        let listing = self.listing(Operation::EventsOf, user.as_str());
        let all = self.shards.iter().collect();
        let list = self.list(listing, all, Window::OF_USER, request, |store, page| {
            let user = user.clone();
            Box::pin(async move { store.events_of_page(&user, &page).await })
        });
        list.await
    }

    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
        let listing = self.listing(Operation::Scan, "");
        let all = self.shards.iter().collect();
        let list = self.list(listing, all, Window::OF_SCAN, request, |store, page| {
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
        let homes = self.placement.places_of(event);
        let homes = homes.into_iter().filter_map(|place| self.shards.get(place)).collect();
        let removal = self.remove(homes, limit, |store, limit| {
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
        let shard = self.shard_at(Operation::Label, 0)?;
        let name = claim::name_in_shard(name)?;
        let label = shard.store.label(&name, options).await;
        label.map_err(|error| shard.named(error))
    }

    async fn replace_label(
        &self,
        name: &LabelName,
        expected: Option<&Label>,
        value: &Label,
        options: &WriteOptions,
    ) -> Result<Option<Label>> {
        let shard = self.shard_at(Operation::ReplaceLabel, 0)?;
        let name = claim::name_in_shard(name)?;
        let label = shard.store.replace_label(&name, expected, value, options).await;
        label.map_err(|error| shard.named(error))
    }

    async fn ready(&self) -> Result<()> {
        ready_by(self.ready_policy, self.part_healths()).await
    }

    /// Asks each shard. A shard with several parts applies its own policy.
    async fn health(&self) -> Health {
        Health::new(join_all(self.part_healths()).await)
    }

    async fn close(&self) -> Result<()> {
        let close = self
            .shards
            .iter()
            .map(async |shard| shard.store.close().await.map_err(|error| shard.named(error)));
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
