//! A store that writes down what it is asked, and does what a test tells it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use rsvp_core::{
    BatchReceipt, Consistency, Count, Deadline, Effect, Error, EventId, Health, Label, LabelName,
    Maintenance, Operation, Page, PageLimit, PageRequest, ReadOptions, RemovalStep, Result, Rsvp,
    RsvpStore, SessionToken, UserId, Write, WriteOptions, async_trait,
};
use rsvp_memory::MemoryStore;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

/// One call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    pub(crate) operation: Operation,
    pub(crate) entries: usize,
    pub(crate) consistency: Option<Consistency>,
    pub(crate) deadline: Option<Deadline>,
    pub(crate) began: Instant,
}

/// What becomes of a call.
#[derive(Clone, Debug)]
pub(crate) enum Reaction {
    Nothing,
    Fail(Error),
    /// Done, and then failed.
    Lose(Error),
    /// These entries of the batch are not done.
    FailEntries(Vec<(usize, Error)>),
    /// All is done, and the answers to these entries are lost.
    LoseEntries(Vec<(usize, Error)>),
    Panic,
    TooFewAnswers,
}

#[derive(Debug, Default)]
pub(crate) struct Probe {
    pub(crate) store: Arc<MemoryStore>,
    log: Mutex<Vec<Asked>>,
    reactions: Mutex<VecDeque<Reaction>>,
    gate: Gate,
    down: AtomicBool,
    /// The position that the next write's token has.
    position: AtomicU64,
}

/// While it is shut, a call passes for every one that is let through.
#[derive(Debug)]
struct Gate {
    shut: AtomicBool,
    /// Whether a call that waits is over at its deadline.
    keeps_deadlines: AtomicBool,
    passes: Semaphore,
}

impl Default for Gate {
    fn default() -> Self {
        let no = || AtomicBool::new(false);
        Self { shut: no(), keeps_deadlines: no(), passes: Semaphore::new(0) }
    }
}

impl Gate {
    fn shut(&self, keeps_deadlines: bool) {
        self.passes.forget_permits(usize::MAX);
        self.keeps_deadlines.store(keeps_deadlines, Ordering::SeqCst);
        self.shut.store(true, Ordering::SeqCst);
    }

    async fn pass(&self, asked: &Asked) -> Result<()> {
        if !self.shut.load(Ordering::SeqCst) {
            return Ok(());
        }
        let pass = self.passes.acquire();
        let kept = asked.deadline.filter(|_| self.keeps_deadlines.load(Ordering::SeqCst));
        let Some(deadline) = kept else {
            pass.await.unwrap().forget();
            return Ok(());
        };
        let began = Instant::now();
        match timeout_at(deadline.instant(), pass).await {
            Ok(pass) => pass.unwrap().forget(),
            Err(_) => {
                let waited = began.elapsed();
                return Err(Error::timed_out(asked.operation, waited, Effect::Unknown));
            }
        }
        Ok(())
    }
}

impl Probe {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The origin of the tokens of its writes.
    pub(crate) fn origin(&self) -> u64 {
        std::ptr::from_ref(self).addr() as u64
    }

    /// From now on calls wait until they are let through.
    pub(crate) fn shut(&self) {
        self.gate.shut(false);
    }

    /// From now on calls wait until they are let through, or until their deadlines.
    pub(crate) fn shut_until_the_deadline(&self) {
        self.gate.shut(true);
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

    /// From now on every call is refused, or none.
    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// What was asked since this was last called.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.log.lock().unwrap())
    }

    /// The lengths of the batches asked for since then.
    pub(crate) fn batches(&self) -> Vec<usize> {
        self.asked().into_iter().map(|asked| asked.entries).collect()
    }

    /// The deadlines of the calls since then.
    pub(crate) fn deadlines(&self) -> Vec<Option<Deadline>> {
        self.asked().into_iter().map(|asked| asked.deadline).collect()
    }

    /// What becomes of a call, once it is let through.
    async fn meet(&self, asked: Asked) -> Result<Reaction> {
        self.log.lock().unwrap().push(asked.clone());
        if self.down.load(Ordering::SeqCst) {
            return Err(Error::unavailable(asked.operation, Effect::NotApplied, None));
        }
        let reaction = self.reactions.lock().unwrap().pop_front();
        self.gate.pass(&asked).await?;
        match reaction {
            None => Ok(Reaction::Nothing),
            Some(Reaction::Fail(error)) => Err(error),
            Some(Reaction::Panic) => panic!("as it was told"),
            Some(reaction) => Ok(reaction),
        }
    }

    async fn batch<E: Clone, A>(
        &self,
        asked: Asked,
        entries: &[E],
        call: impl FnOnce(&[E]) -> Result<Vec<Result<A>>>,
    ) -> Result<Vec<Result<A>>> {
        let reaction = self.meet(asked).await?;
        let refused = |at| match &reaction {
            Reaction::FailEntries(failed) => failed.iter().any(|(place, _)| *place == at),
            _ => false,
        };
        let done = (0..).zip(entries).filter(|(at, _)| !refused(*at));
        let done: Vec<E> = done.map(|(_, entry)| entry.clone()).collect();
        let mut results = call(&done)?;
        match reaction {
            Reaction::Lose(error) => return Err(error),
            Reaction::TooFewAnswers => drop(results.pop()),
            Reaction::FailEntries(failed) => {
                failed.into_iter().for_each(|(at, error)| results.insert(at, Err(error)));
            }
            Reaction::LoseEntries(lost) => {
                lost.into_iter().for_each(|(at, error)| results[at] = Err(error));
            }
            _ => {}
        }
        Ok(results)
    }

    async fn single<A>(&self, asked: Asked, call: impl FnOnce() -> Result<A>) -> Result<A> {
        match self.meet(asked).await? {
            Reaction::Lose(error) => call().and(Err(error)),
            _ => call(),
        }
    }
}

fn read(operation: Operation, entries: usize, options: &ReadOptions) -> Asked {
    let ReadOptions { consistency, deadline, .. } = options.clone();
    Asked { operation, entries, consistency: Some(consistency), deadline, began: Instant::now() }
}

fn write(operation: Operation, entries: usize, options: &WriteOptions) -> Asked {
    Asked {
        operation,
        entries,
        consistency: None,
        deadline: options.deadline,
        began: Instant::now(),
    }
}

/// The answer of the memory store, which never waits.
fn now<T>(call: impl Future<Output = T>) -> T {
    call.now_or_never().expect("an answer at once")
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl RsvpStore for Probe {
    async fn write_batch(&self, writes: &[Write], options: &WriteOptions) -> Result<BatchReceipt> {
        let asked = write(Operation::Write, writes.len(), options);
        let call = |writes: &[Write]| Ok(now(self.store.write_batch(writes, options))?.results);
        let results = self.batch(asked, writes, call).await;
        let position = self.position.fetch_add(1, Ordering::SeqCst);
        let token = SessionToken::at(self.origin(), position);
        results.map(|results| BatchReceipt::new(results, token))
    }

    async fn has_rsvped_batch(
        &self,
        pairs: &[Rsvp],
        options: &ReadOptions,
    ) -> Result<Vec<Result<bool>>> {
        let asked = read(Operation::HasRsvped, pairs.len(), options);
        self.batch(asked, pairs, |pairs| now(self.store.has_rsvped_batch(pairs, options))).await
    }

    async fn rsvp_count_batch(
        &self,
        events: &[EventId],
        options: &ReadOptions,
    ) -> Result<Vec<Result<Count>>> {
        let asked = read(Operation::RsvpCount, events.len(), options);
        self.batch(asked, events, |events| now(self.store.rsvp_count_batch(events, options))).await
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        let asked = read(Operation::Attendees, 0, &request.options);
        self.single(asked, || now(self.store.attendees_page(event, request))).await
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        let asked = read(Operation::EventsOf, 0, &request.options);
        self.single(asked, || now(self.store.events_of_page(user, request))).await
    }

    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
        let asked = read(Operation::Scan, 0, &request.options);
        self.single(asked, || now(self.store.scan_page(request))).await
    }

    async fn remove_event_step(
        &self,
        event: &EventId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        let asked = write(Operation::RemoveEvent, 0, options);
        self.single(asked, || now(self.store.remove_event_step(event, limit, options))).await
    }

    async fn remove_user_step(
        &self,
        user: &UserId,
        limit: PageLimit,
        options: &WriteOptions,
    ) -> Result<RemovalStep> {
        let asked = write(Operation::RemoveUser, 0, options);
        self.single(asked, || now(self.store.remove_user_step(user, limit, options))).await
    }

    async fn label(&self, name: &LabelName, options: &ReadOptions) -> Result<Option<Label>> {
        let asked = read(Operation::Label, 0, options);
        self.single(asked, || now(self.store.label(name, options))).await
    }

    async fn replace_label(
        &self,
        name: &LabelName,
        expected: Option<&Label>,
        value: &Label,
        options: &WriteOptions,
    ) -> Result<Option<Label>> {
        let asked = write(Operation::ReplaceLabel, 0, options);
        let call = || now(self.store.replace_label(name, expected, value, options));
        self.single(asked, call).await
    }

    async fn ready(&self) -> Result<()> {
        let asked = write(Operation::Ready, 0, &WriteOptions::default());
        self.single(asked, || now(self.store.ready())).await
    }

    async fn health(&self) -> Health {
        Health::of_whole(self.ready().await)
    }

    async fn close(&self) -> Result<()> {
        self.store.close().await
    }

    fn settling_time(&self) -> std::time::Duration {
        std::time::Duration::from_secs(2)
    }

    fn maintenance(&self) -> Option<&dyn Maintenance> {
        self.store.maintenance()
    }
}
