//! A store that writes down what it is asked, and does what a test tells it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rsvp_core::{
    BatchReceipt, Consistency, Count, Error, EventId, Operation, Page, PageLimit, PageRequest,
    RemovalStep, Result, Rsvp, RsvpStore, SessionToken, UserId, Write, async_trait,
};
use rsvp_memory::MemoryStore;
use tokio::sync::Semaphore;

/// One call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    pub(crate) operation: Operation,
    pub(crate) entries: usize,
    pub(crate) consistency: Option<Consistency>,
}

/// What becomes of a call.
#[derive(Clone, Debug)]
pub(crate) enum Reaction {
    Fail(Error),
    /// Done, and then failed.
    Lose(Error),
    Panic,
    TooFewAnswers,
}

#[derive(Debug, Default)]
pub(crate) struct Probe {
    pub(crate) store: Arc<MemoryStore>,
    log: Mutex<Vec<Asked>>,
    reactions: Mutex<VecDeque<Reaction>>,
    gate: Gate,
    /// The position that the next write's token has.
    position: AtomicU64,
}

/// While it is shut, a call passes for every one that is let through.
#[derive(Debug)]
struct Gate {
    shut: AtomicBool,
    passes: Semaphore,
}

impl Default for Gate {
    fn default() -> Self {
        Self { shut: AtomicBool::new(false), passes: Semaphore::new(0) }
    }
}

impl Probe {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// From now on calls wait until they are let through.
    pub(crate) fn shut(&self) {
        self.gate.passes.forget_permits(usize::MAX);
        self.gate.shut.store(true, Ordering::SeqCst);
    }

    pub(crate) fn let_through(&self, calls: usize) {
        self.gate.passes.add_permits(calls);
    }

    /// Nothing waits any more.
    pub(crate) fn open(&self) {
        self.gate.shut.store(false, Ordering::SeqCst);
        self.let_through(100_000);
    }

    /// The next calls meet these, one each.
    pub(crate) fn react(&self, reactions: impl IntoIterator<Item = Reaction>) {
        self.reactions.lock().unwrap().extend(reactions);
    }

    /// What was asked since this was last called.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.log.lock().unwrap())
    }

    /// The lengths of the batches asked for since then.
    pub(crate) fn batches(&self) -> Vec<usize> {
        self.asked().into_iter().map(|asked| asked.entries).collect()
    }

    async fn answer<T>(
        &self,
        operation: Operation,
        entries: usize,
        consistency: Option<&Consistency>,
        cut: impl FnOnce(T) -> T,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let consistency = consistency.cloned();
        self.log.lock().unwrap().push(Asked { operation, entries, consistency });
        let reaction = self.reactions.lock().unwrap().pop_front();
        if self.gate.shut.load(Ordering::SeqCst) {
            self.gate.passes.acquire().await.unwrap().forget();
        }
        match reaction {
            None => call.await,
            Some(Reaction::Fail(error)) => Err(error),
            Some(Reaction::Lose(error)) => call.await.and(Err(error)),
            Some(Reaction::Panic) => panic!("as it was told"),
            Some(Reaction::TooFewAnswers) => call.await.map(cut),
        }
    }
}

fn cut_short<T>(mut answers: Vec<T>) -> Vec<T> {
    answers.pop();
    answers
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl RsvpStore for Probe {
    async fn write_batch(&self, writes: &[Write]) -> Result<BatchReceipt> {
        let cut = |receipt: BatchReceipt| BatchReceipt {
            outcomes: cut_short(receipt.outcomes),
            ..receipt
        };
        let call = self.store.write_batch(writes);
        let answer = self.answer(Operation::Write, writes.len(), None, cut, call).await;
        let position = self.position.fetch_add(1, Ordering::SeqCst);
        let token = SessionToken::at(std::ptr::from_ref(self).addr() as u64, position);
        answer.map(|receipt| BatchReceipt { token, ..receipt })
    }

    async fn has_rsvped_batch(&self, pairs: &[Rsvp], level: &Consistency) -> Result<Vec<bool>> {
        let call = self.store.has_rsvped_batch(pairs, level);
        self.answer(Operation::HasRsvped, pairs.len(), Some(level), cut_short, call).await
    }

    async fn rsvp_counts(&self, events: &[EventId], level: &Consistency) -> Result<Vec<Count>> {
        let call = self.store.rsvp_counts(events, level);
        self.answer(Operation::RsvpCounts, events.len(), Some(level), cut_short, call).await
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        let call = self.store.attendees_page(event, request);
        self.answer(Operation::Attendees, 0, Some(&request.consistency), |page| page, call).await
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        let call = self.store.events_of_page(user, request);
        self.answer(Operation::EventsOf, 0, Some(&request.consistency), |page| page, call).await
    }

    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
        let call = self.store.scan_page(request);
        self.answer(Operation::Scan, 0, Some(&request.consistency), |page| page, call).await
    }

    async fn remove_event_step(&self, event: &EventId, limit: PageLimit) -> Result<RemovalStep> {
        let call = self.store.remove_event_step(event, limit);
        self.answer(Operation::RemoveEvent, 0, None, |step| step, call).await
    }

    async fn remove_user_step(&self, user: &UserId, limit: PageLimit) -> Result<RemovalStep> {
        let call = self.store.remove_user_step(user, limit);
        self.answer(Operation::RemoveUser, 0, None, |step| step, call).await
    }

    async fn ready(&self) -> Result<()> {
        self.answer(Operation::Ready, 0, None, |ready| ready, self.store.ready()).await
    }
}
