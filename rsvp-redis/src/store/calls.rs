//! The calls of the store.

use futures_util::future::join_all;
use rsvp_core::backend::{FoldedBatch, ready_by, run_to_end};
use rsvp_core::{
    BatchReceipt, Count, Effect, Error, EventId, Health, Label, LabelName, Maintenance, Operation,
    Page, PageLimit, PageRequest, ReadOptions, RemovalStep, Result, Rsvp, RsvpStore, SessionToken,
    UserId, Write, WriteOptions, async_trait,
};

use super::probe::READY_WAIT;
use super::{RedisStore, before_any_write};
use crate::data::cursor::tag;
use crate::data::keys::Kind;
use crate::data::scan_all::KeyspaceScan;
use crate::data::{counts, labels, listing, membership, remove, sweep, write};
use crate::wire::call_deadline::Call;
use crate::wire::request::Dispatch;

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl RsvpStore for RedisStore {
    async fn write_batch(&self, writes: &[Write], options: &WriteOptions) -> Result<BatchReceipt> {
        let call = Call::new(Operation::Write, options.deadline);
        let permit = self.admit(call)?;
        if writes.is_empty() {
            return Ok(BatchReceipt::default());
        }
        let (store, batch) = (self.clone(), FoldedBatch::new(writes));
        run_to_end(call.operation, async move {
            let _permit = permit;
            let results = write::apply(store.client(), store.keys(), call, batch.finals()).await;
            store.sync_later(batch.finals(), &results);
            // The results are asked for in the order of the final writes.
            let mut results = results.into_iter();
            let missing = || Err(Error::corrupt(call.operation, "no result of a write"));
            let results = batch.results(|_| results.next().unwrap_or_else(missing));
            Ok(BatchReceipt::new(results, SessionToken::new()))
        })
        .await
    }

    async fn has_rsvped_batch(
        &self,
        pairs: &[Rsvp],
        options: &ReadOptions,
    ) -> Result<Vec<Result<bool>>> {
        let call = Call::new(Operation::HasRsvped, options.deadline);
        let _permit = self.admit(call)?;
        Ok(membership::read(self.client(), self.keys(), call, pairs).await)
    }

    async fn rsvp_count_batch(
        &self,
        events: &[EventId],
        options: &ReadOptions,
    ) -> Result<Vec<Result<Count>>> {
        let call = Call::new(Operation::RsvpCount, options.deadline);
        let _permit = self.admit(call)?;
        Ok(counts::counts(self.client(), self.keys(), call, events).await)
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        let call = Call::new(Operation::Attendees, request.options.deadline);
        let _permit = self.admit(call)?;
        listing::attendees(self.client(), self.keys(), call, event, request).await
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        let call = Call::new(Operation::EventsOf, request.options.deadline);
        let _permit = self.admit(call)?;
        listing::events_of(self.client(), self.keys(), call, user, request).await
    }

    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
        let call = Call::new(Operation::Scan, request.options.deadline);
        let _permit = self.admit(call)?;
        let (servers, keys) = (self.client(), self.keys());
        let (kind, tag) = (Kind::Event, tag::SCAN);
        let scan = KeyspaceScan { servers, keys, call, kind, tag };
        let (items, next) = scan.page(request.cursor.as_ref(), request.limit.get()).await?;
        Ok(Page::new(items, next))
    }

    async fn remove_event_step(
        &self,
        event: &EventId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        let call = Call::new(Operation::RemoveEvent, options.deadline);
        let permit = self.admit(call)?;
        let (store, event) = (self.clone(), event.clone());
        run_to_end(call.operation, async move {
            let _permit = permit;
            let (client, keys) = (store.client(), store.keys());
            let found = remove::find_of_event(client, keys, call, &event, limit.get()).await;
            let found = found.map_err(before_any_write)?;
            let changed = write::cancel_attendees(client, keys, call, &found.cancels).await?;
            Ok(found.step(&changed))
        })
        .await
    }

    async fn remove_user_step(
        &self,
        user: &UserId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        let call = Call::new(Operation::RemoveUser, options.deadline);
        let permit = self.admit(call)?;
        let (store, user) = (self.clone(), user.clone());
        run_to_end(call.operation, async move {
            let _permit = permit;
            let (client, keys) = (store.client(), store.keys());
            let found = remove::find_of_user(client, keys, call, &user, limit.get()).await;
            let found = found.map_err(before_any_write)?;
            let changed = write::cancel_events(client, keys, call, &found.cancels).await?;
            // The list still has entries. The sweep for RSVPs missing from the list comes last.
            if !client.is_cluster() || !store.config().sweep || found.has_more() {
                return Ok(found.step(&changed));
            }
            let swept = sweep::sweep(client, keys, call, &user, limit.get()).await;
            let swept = swept.map_err(|error| match changed.iter().any(|changed| *changed) {
                true => error.with_effect(Effect::Unknown),
                false => error,
            })?;
            let removed = found.step(&changed).removed + swept.removed;
            Ok(RemovalStep::new(removed, swept.more, swept.token))
        })
        .await
    }

    async fn label(&self, name: &LabelName, options: &ReadOptions) -> Result<Option<Label>> {
        let call = Call::new(Operation::Label, options.deadline);
        let _permit = self.admit(call)?;
        labels::read(self.client(), self.keys(), call, name).await
    }

    async fn replace_label(
        &self,
        name: &LabelName,
        expected: Option<&Label>,
        value: &Label,
        options: &WriteOptions,
    ) -> Result<Option<Label>> {
        let call = Call::new(Operation::ReplaceLabel, options.deadline);
        let permit = self.admit(call)?;
        let (store, name) = (self.clone(), name.clone());
        let (expected, value) = (expected.cloned(), value.clone());
        run_to_end(call.operation, async move {
            let _permit = permit;
            let (client, keys) = (store.client(), store.keys());
            labels::replace(client, keys, call, &name, expected.as_ref(), &value).await
        })
        .await
    }

    /// Succeeds if as many primaries accept a write as the policy of the configuration asks for. In
    /// a cluster each has half a second. So a silent primary does not hold up a probe for long.
    async fn ready(&self) -> Result<()> {
        let permit = self.admit(Call::unbounded(Operation::Ready))?;
        let limit = self.client().is_cluster().then_some(READY_WAIT);
        ready_by(self.config().ready_policy, self.probes(permit, limit)).await
    }

    /// Each primary by its address. Slots without an owner count as a failed part.
    async fn health(&self) -> Health {
        match self.admit(Call::unbounded(Operation::Ready)) {
            Ok(permit) => Health::new(join_all(self.probes(permit, None)).await),
            Err(error) => Health::of_whole(Err(error)),
        }
    }

    /// Waits for running calls, those without a caller included.
    async fn close(&self) -> Result<()> {
        self.inner.admission.close().await;
        self.inner.later_sync.clear();
        self.client().close();
        Ok(())
    }

    /// Twice the response timeout. For so long a system may try to deliver sent commands.
    fn settling_time(&self) -> std::time::Duration {
        self.config().user_timeout()
    }

    fn maintenance(&self) -> Option<&dyn Maintenance> {
        Some(self)
    }
}
