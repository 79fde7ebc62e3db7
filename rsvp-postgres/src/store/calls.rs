//! The calls of the store. Each chooses its work and the server for it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join, join3};
use rsvp_core::backend::{FoldedBatch, stored_id};
use rsvp_core::{
    BatchReceipt, Consistency, Count, Error, EventId, Health, Label, LabelName, Maintenance,
    Operation, Page, PageLimit, PageRequest, ReadOptions, RemovalStep, Result, Rsvp, RsvpStore,
    SessionToken, UserId, Write, WriteOptions, async_trait,
};

use super::{Inner, PostgresStore};
use crate::data::batch::{Batch, run_all};
use crate::data::counts::{Counts, aged};
use crate::data::label::{ReadLabel, ReplaceLabel};
use crate::data::list_page::ListPage;
use crate::data::listing::Listing;
use crate::data::membership::Membership;
use crate::data::ready::Ready;
use crate::data::remove::{RemoveEvent, RemoveUser};
use crate::data::write::{Sent, Writes, receipt};
use crate::wire::commit::Commit;
use crate::wire::failure::unsettled;
use crate::wire::replicas::Absent;
use crate::wire::shutdown_gate::Entered;
use crate::wire::work::Work;

impl PostgresStore {
    /// Reads from a replica if one is as fresh as `options` ask, otherwise from the primary.
    /// Returns the greatest possible age of the answer, too.
    async fn read<W: Work>(&self, work: W, options: &ReadOptions) -> Result<(W::Answer, Duration)> {
        let call = self.inner.primary.enter(work.operation(), options.deadline)?;
        self.read_within(&call, work, options).await
    }

    /// Reads, as [`read`](Self::read), for a call of several reads.
    async fn read_within<W: Work>(
        &self,
        call: &Entered,
        work: W,
        options: &ReadOptions,
    ) -> Result<(W::Answer, Duration)> {
        let Inner { primary, replicas, overflow, .. } = &*self.inner;
        let overloaded = Error::overloaded(work.operation());
        // 1. A replica. If replicas are busy, only few reads go on to the primary, because the
        //    load of the replicas would take it down, too.
        let _overflow = match replicas.read(primary, &work, options).await {
            Ok(read) => return Ok(read),
            Err(Absent::Busy) => Some(overflow.try_acquire().map_err(|_| overloaded)?),
            Err(Absent::NotFresh) => None,
        };
        // 2. The primary, on a timeline at least as late as the token's.
        if let Consistency::Session(token) = &options.consistency {
            primary.reach(work.operation(), token, options.deadline).await?;
        }
        Ok((primary.run_within(call, work, options.deadline).await?, Duration::ZERO))
    }

    /// Changes something on the primary. Returns the token of the change, too.
    async fn write_within<W: Work>(
        &self,
        call: &Entered,
        work: W,
        options: &WriteOptions,
    ) -> Result<(W::Answer, SessionToken)> {
        let asks_lsn = !self.inner.replicas.is_empty();
        self.inner.primary.run_within(call, Commit { work, asks_lsn }, options.deadline).await
    }

    /// Changes something, as [`write_within`](Self::write_within).
    /// If it meets an unsettled change, it waits for a short time, and then refuses the call.
    async fn write_settled<W: Work>(
        &self,
        work: W,
        options: &WriteOptions,
    ) -> Result<(W::Answer, SessionToken)> {
        let primary = &self.inner.primary;
        let call = primary.enter(work.operation(), options.deadline)?;
        // The write set is made only for a comparison, because most often nothing is unsettled.
        if !primary.unsettled().is_empty() {
            let write_set = work.write_set();
            primary.settling(|earlier| earlier.meets(&write_set), options.deadline).await;
            if primary.unsettled().iter().any(|earlier| earlier.meets(&write_set)) {
                return Err(unsettled(work.operation()));
            }
        }
        self.write_within(&call, work, options).await
    }

    /// Writes the final writes of a batch that `may_write` allows.
    /// Each statement has its own answer.
    async fn write_all(
        &self,
        call: &Entered,
        batch: &Arc<FoldedBatch>,
        may_write: impl Fn(&Write) -> bool,
        options: &WriteOptions,
    ) -> Sent {
        let Inner { config, locked, .. } = &*self.inner;
        let parts = Writes::divide_all(batch, may_write, config.pool_size, locked);
        let places: Vec<usize> = parts.iter().flat_map(Writes::places).copied().collect();
        let answered =
            run_all(parts.into_iter(), |part| self.write_part(call, part, options)).await;
        (places, answered)
    }

    /// Writes a part of a batch. Writes of an event take turns while another session locks it.
    async fn write_part(
        &self,
        call: &Entered,
        part: Writes,
        options: &WriteOptions,
    ) -> Result<(Vec<bool>, SessionToken)> {
        let Some(event) = part.event().cloned() else {
            return self.write_within(call, part, options).await;
        };
        let Inner { config, locked, .. } = &*self.inner;
        // A write waits for its turn as long as for a lock, and keeps half of its time to run.
        let longest = config.lock_timeout;
        let longest = options.deadline.map_or(longest, |by| longest.min(by.remaining() / 2));
        let turn = locked.turn(&event, longest).await?;
        let answer = self.write_within(call, part, options).await;
        locked.hear(&event, turn.as_ref(), &answer);
        answer
    }

    async fn list<L: Listing>(
        &self,
        work: ListPage<L>,
        request: &PageRequest,
    ) -> Result<Page<L::Item>> {
        self.read(work, &request.options).await?.0
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl RsvpStore for PostgresStore {
    async fn write_batch(&self, writes: &[Write], options: &WriteOptions) -> Result<BatchReceipt> {
        let call = self.inner.primary.enter(Operation::Write, options.deadline)?;
        // 1. One write for each pair. A write that meets an unsettled change waits for it for a
        //    short time, while the others are written.
        let batch = Arc::new(FoldedBatch::new(writes));
        let primary = &self.inner.primary;
        let earlier = primary.unsettled();
        let meets = |write: &Write| earlier.iter().any(|earlier| earlier.meets_write(write));
        let waiting: Vec<&Write> = batch.finals().iter().filter(|write| meets(write)).collect();
        let settling = primary.settling(
            |earlier| waiting.iter().any(|write| earlier.meets_write(write)),
            options.deadline,
        );
        let first = self.write_all(&call, &batch, |write| !meets(write), options);
        let ((mut places, mut answered), ()) = join(first, settling).await;
        // 2. The writes whose change is settled by then. The others are refused.
        if !waiting.is_empty() {
            let earlier = primary.unsettled();
            let free = |write: &Write| {
                meets(write) && !earlier.iter().any(|earlier| earlier.meets_write(write))
            };
            let second = self.write_all(&call, &batch, free, options).await;
            places.extend(second.0);
            answered.extend(second.1);
        }
        // 3. The results of all writes.
        Ok(receipt(&batch, places, answered, &unsettled(Operation::Write)))
    }

    async fn has_rsvped_batch(
        &self,
        pairs: &[Rsvp],
        options: &ReadOptions,
    ) -> Result<Vec<Result<bool>>> {
        let call = self.inner.primary.enter(Operation::HasRsvped, options.deadline)?;
        let parts = Membership::new(pairs).bounded();
        let answered = run_all(parts, |part| self.read_within(&call, part, options)).await;
        let results = answered
            .into_iter()
            .flat_map(|part| part.results(|(answers, _)| answers.into_iter().map(Ok).collect()));
        Ok(results.collect())
    }

    async fn rsvp_count_batch(
        &self,
        events: &[EventId],
        options: &ReadOptions,
    ) -> Result<Vec<Result<Count>>> {
        let call = self.inner.primary.enter(Operation::RsvpCount, options.deadline)?;
        let parts = Counts::new(events).bounded();
        let answered = run_all(parts, |part| self.read_within(&call, part, options)).await;
        let results = answered.into_iter().flat_map(|part| {
            part.results(|(counts, age)| counts.into_iter().map(|count| aged(count, age)).collect())
        });
        Ok(results.collect())
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        self.list(ListPage::of_event(event, request)?, request).await
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        self.list(ListPage::of_user(user, request)?, request).await
    }

    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
        self.list(ListPage::of_everything(request)?, request).await
    }

    async fn remove_event_step(
        &self,
        event: &EventId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        let keys = &self.inner.removal_keys;
        let work = RemoveEvent { event: event.clone(), limit, after: keys.after(event) };
        let (step, token) = self.write_settled(work, options).await?;
        keys.set(event, step.next.as_deref());
        Ok(RemovalStep::new(step.removed, step.next.is_some(), token))
    }

    async fn remove_user_step(
        &self,
        user: &UserId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        let work = RemoveUser { user: user.clone(), limit };
        let (removed, token) = self.write_settled(work, options).await?;
        Ok(RemovalStep::new(removed, removed >= limit.get() as u64, token))
    }

    async fn label(&self, name: &LabelName, options: &ReadOptions) -> Result<Option<Label>> {
        let (value, _) = self.read(ReadLabel { name: name.clone() }, options).await?;
        value.map(|value| stored_id(Operation::Label, Label::new(value))).transpose()
    }

    async fn replace_label(
        &self,
        name: &LabelName,
        expected: Option<&Label>,
        value: &Label,
        options: &WriteOptions,
    ) -> Result<Option<Label>> {
        let (name, expected, value) = (name.clone(), expected.cloned(), value.clone());
        let work = ReplaceLabel { name, expected, value };
        let (before, _) = self.write_settled(work, options).await?;
        before.map(|value| stored_id(Operation::ReplaceLabel, Label::new(value))).transpose()
    }

    async fn ready(&self) -> Result<()> {
        self.inner.primary.run(Ready, None).await
    }

    async fn health(&self) -> Health {
        Health::of_whole(self.ready().await)
    }

    async fn close(&self) -> Result<()> {
        let Inner { primary, replicas, auditor, .. } = &*self.inner;
        join3(primary.close(), replicas.close(), auditor.close()).await;
        Ok(())
    }

    /// Returns the statement timeout plus one second. By then no statement of a call is under way.
    fn settling_time(&self) -> Duration {
        self.inner.config.statement_timeout + Duration::from_secs(1)
    }

    fn maintenance(&self) -> Option<&dyn Maintenance> {
        Some(&self.inner.auditor)
    }
}
