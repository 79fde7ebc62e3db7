//! The calls of a store that fails on purpose.

use std::sync::Arc;
use std::time::Duration;

use rsvp_core::{
    BatchReceipt, Count, EventId, Health, Label, LabelName, Maintenance, Operation, Page,
    PageLimit, PageRequest, ReadOptions, RemovalStep, Result, Rsvp, RsvpStore, UserId, Write,
    WriteOptions, async_trait,
};

use super::entries::{Verdict, all_hold, done, merge};
use super::fate::Fate;
use super::pending::Scope;
use super::{FaultStore, refused};

impl<S: RsvpStore + 'static> FaultStore<S> {
    async fn write(
        &self,
        fate: Fate,
        writes: &[Write],
        options: &WriteOptions,
    ) -> Result<BatchReceipt> {
        let verdicts = self.verdicts_on(fate, writes);
        // Without a fault the batch goes to the store as it is, and not as a copy.
        if all_hold(&verdicts) {
            return self.store.write_batch(writes, options).await;
        }
        let receipt = self.store.write_batch(&done(writes, &verdicts), options).await?;
        Ok(BatchReceipt::new(merge(Operation::Write, verdicts, receipt.results), receipt.token))
    }

    fn verdicts_on(&self, fate: Fate, writes: &[Write]) -> Vec<Verdict> {
        writes.iter().map(|write| self.verdict_on_write(fate, write)).collect()
    }

    /// Runs a write without entries. It is refused if an earlier pending write can undo it.
    async fn change<T: Send + 'static, F>(
        &self,
        operation: Operation,
        scope: Scope,
        options: &WriteOptions,
        call: impl FnOnce(Arc<S>, WriteOptions) -> F + Send,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        match self.fate(operation)? {
            // No late write follows another pending one. Nobody knows which would land last.
            Fate::Late(times) if !self.pending.fence(&scope) => {
                Err(self.do_late(operation, times, vec![scope], call))
            }
            fate => {
                let change = async {
                    // Checked when the call runs, because a delay may come first.
                    if self.pending.fence(&scope) {
                        return Err(refused(operation));
                    }
                    call(Arc::clone(&self.store), options.clone()).await
                };
                self.meet(operation, fate, change).await
            }
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: RsvpStore + 'static> RsvpStore for FaultStore<S> {
    async fn write_batch(&self, writes: &[Write], options: &WriteOptions) -> Result<BatchReceipt> {
        let fate = self.fate(Operation::Write)?;
        let Fate::Late(times) = fate else {
            return self.meet(Operation::Write, fate, self.write(fate, writes, options)).await;
        };
        // Refused entries have no effect, not even a late one.
        let writes = done(writes, &self.verdicts_on(fate, writes));
        let scopes = writes.iter().map(|write| Scope::Pair(write.rsvp.clone())).collect();
        let call =
            move |store: Arc<S>, options| async move { store.write_batch(&writes, &options).await };
        Err(self.do_late(Operation::Write, times, scopes, call))
    }

    async fn has_rsvped_batch(
        &self,
        pairs: &[Rsvp],
        options: &ReadOptions,
    ) -> Result<Vec<Result<bool>>> {
        let operation = Operation::HasRsvped;
        let fate = self.fate(operation)?;
        let call = async {
            let verdict = |pair: &Rsvp| self.verdict(operation, fate, pair, &pair.event);
            let verdicts: Vec<_> = pairs.iter().map(verdict).collect();
            let answers = self.store.has_rsvped_batch(&done(pairs, &verdicts), options).await?;
            Ok(merge(operation, verdicts, answers))
        };
        self.meet(operation, fate, call).await
    }

    async fn rsvp_count_batch(
        &self,
        events: &[EventId],
        options: &ReadOptions,
    ) -> Result<Vec<Result<Count>>> {
        let operation = Operation::RsvpCount;
        let fate = self.fate(operation)?;
        let call = async {
            let verdict = |event: &EventId| self.verdict(operation, fate, event, event);
            let verdicts: Vec<_> = events.iter().map(verdict).collect();
            let answers = self.store.rsvp_count_batch(&done(events, &verdicts), options).await?;
            Ok(merge(operation, verdicts, answers))
        };
        self.meet(operation, fate, call).await
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        let fate = self.fate(Operation::Attendees)?;
        self.meet(Operation::Attendees, fate, self.store.attendees_page(event, request)).await
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        let fate = self.fate(Operation::EventsOf)?;
        self.meet(Operation::EventsOf, fate, self.store.events_of_page(user, request)).await
    }

    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
        let fate = self.fate(Operation::Scan)?;
        self.meet(Operation::Scan, fate, self.store.scan_page(request)).await
    }

    async fn remove_event_step(
        &self,
        event: &EventId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        let event = event.clone();
        let scope = Scope::Event(event.clone());
        let step = move |store: Arc<S>, options| async move {
            store.remove_event_step(&event, limit, &options).await
        };
        self.change(Operation::RemoveEvent, scope, options, step).await
    }

    async fn remove_user_step(
        &self,
        user: &UserId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        let user = user.clone();
        let scope = Scope::User(user.clone());
        let step = move |store: Arc<S>, options| async move {
            store.remove_user_step(&user, limit, &options).await
        };
        self.change(Operation::RemoveUser, scope, options, step).await
    }

    async fn label(&self, name: &LabelName, options: &ReadOptions) -> Result<Option<Label>> {
        let fate = self.fate(Operation::Label)?;
        self.meet(Operation::Label, fate, self.store.label(name, options)).await
    }

    async fn replace_label(
        &self,
        name: &LabelName,
        expected: Option<&Label>,
        value: &Label,
        options: &WriteOptions,
    ) -> Result<Option<Label>> {
        let (name, expected, value) = (name.clone(), expected.cloned(), value.clone());
        let scope = Scope::Label(name.clone());
        let replace = move |store: Arc<S>, options| async move {
            store.replace_label(&name, expected.as_ref(), &value, &options).await
        };
        self.change(Operation::ReplaceLabel, scope, options, replace).await
    }

    async fn ready(&self) -> Result<()> {
        let fate = self.fate(Operation::Ready)?;
        self.meet(Operation::Ready, fate, self.store.ready()).await
    }

    /// Returns the health of the store, unless the next [`ready`](RsvpStore::ready) has to fail.
    async fn health(&self) -> Health {
        // The fault is that of `ready`. The inner store answers only without one.
        match self.fate(Operation::Ready) {
            Ok(fate) => match self.meet(Operation::Ready, fate, async { Ok(()) }).await {
                Ok(()) => self.store.health().await,
                Err(error) => Health::of_whole(Err(error)),
            },
            Err(error) => Health::of_whole(Err(error)),
        }
    }

    /// Fails only after [`fail_next`](FaultStore::fail_next).
    async fn close(&self) -> Result<()> {
        self.told(Operation::Close)?;
        self.store.close().await
    }

    fn settling_time(&self) -> Duration {
        // A late write of this layer may settle after the writes of the store.
        self.store.settling_time().max(self.writes.longest_pending)
    }

    fn maintenance(&self) -> Option<&dyn Maintenance> {
        self.store.maintenance()
    }
}
