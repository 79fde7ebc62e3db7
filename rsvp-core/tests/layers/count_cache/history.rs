//! A store that remembers every change of a count, and what a cache in front of it may answer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rsvp_core::{
    Consistency, Count, Effect, Error, EventId, Operation, Result, Rsvp, UserId, Write,
};
use rsvp_memory::MemoryStore;
use tokio::time::{Instant, sleep};

use crate::hooked::{Counted, Hook, Hooked};

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fate {
    Answered,
    /// Fails without effect, and says so.
    Refused,
    /// Fails without effect, and does not know.
    Lost,
    /// Takes effect, and fails.
    AnswerLost,
}

/// What the store does with the calls of one task.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) call: usize,
    /// The cache that the call goes through.
    pub(crate) process: usize,
    pub(crate) before: Duration,
    pub(crate) after: Duration,
    pub(crate) fate: Fate,
}

tokio::task_local! {
    pub(crate) static PLAN: Plan;
}

/// A count changed.
#[derive(Clone, Debug)]
struct Change {
    at: Instant,
    event: EventId,
    by: i64,
    call: usize,
}

/// A call, from its beginning to its end. The numbers order what happens at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) began: (usize, Instant),
    pub(crate) ended: (usize, Instant),
}

#[derive(Debug, Default)]
pub(crate) struct History {
    store: MemoryStore,
    events: Vec<EventId>,
    changes: Mutex<Vec<Change>>,
    /// The plans of the reads that caches make on tasks of their own, in turn.
    reads: Vec<Plan>,
    next_read: AtomicUsize,
    /// Which cache the last write of a pair went through.
    writers: Mutex<BTreeMap<Rsvp, usize>>,
    /// The user of a removal, and the events that were listed for it.
    listed: Mutex<BTreeMap<usize, (UserId, Vec<EventId>)>>,
}

impl History {
    pub(crate) fn new(events: &[EventId], reads: Vec<Plan>) -> Self {
        Self { events: events.to_vec(), reads, ..Self::default() }
    }

    /// The plan of a read: its caller's, or the next of those for the reads of caches.
    fn plan_of_read(&self) -> Plan {
        PLAN.try_with(Plan::clone).unwrap_or_else(|_| {
            let at = self.next_read.fetch_add(1, Ordering::SeqCst);
            self.reads[at % self.reads.len()].clone()
        })
    }

    /// Whether a change is that of a removal of a user, of an RSVP that was made through another
    /// cache after the removal had listed the events of its user. The cache of the removal cannot
    /// know of it, so it belongs to others.
    fn is_of_others(&self, plan: &Plan, event: &EventId) -> bool {
        let listed = self.listed.lock().unwrap();
        let Some((user, events)) = listed.get(&plan.call) else { return false };
        let rsvp = Rsvp::new(user.clone(), event.clone());
        let writer = self.writers.lock().unwrap().get(&rsvp).copied();
        !events.contains(event) && writer != Some(plan.process)
    }

    fn counts(&self) -> Vec<i64> {
        self.events.iter().map(|event| self.store.table().rsvp_count(event) as i64).collect()
    }

    /// Carries a write out as planned, and remembers what it changed.
    async fn record<T>(
        &self,
        writes: &[Write],
        effect: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let plan = PLAN.get();
        let Plan { call, process, before, after, fate } = plan.clone();
        sleep(before).await;
        let failed = |effect| Err(Error::unavailable(Operation::Write, effect, None));
        match fate {
            Fate::Refused => return failed(Effect::NotApplied),
            Fate::Lost => return failed(Effect::Unknown),
            Fate::Answered | Fate::AnswerLost => {}
        }
        // Nothing else runs meanwhile: the memory store never waits.
        let counts = self.counts();
        let done = effect.await;
        for ((event, before), after) in self.events.iter().zip(counts).zip(self.counts()) {
            if before != after {
                let call = if self.is_of_others(&plan, event) { usize::MAX } else { call };
                let (at, event, by) = (Instant::now(), event.clone(), after - before);
                self.changes.lock().unwrap().push(Change { at, event, by, call });
            }
        }
        for write in writes {
            self.writers.lock().unwrap().insert(write.rsvp.clone(), process);
        }
        sleep(after).await;
        if fate == Fate::AnswerLost { failed(Effect::Unknown) } else { done }
    }

    /// Whether a count is one that a cache may answer: one that was true at a moment no longer
    /// ago than its age, moved by what was acknowledged through the cache since.
    ///
    /// It is no older than what was `seen` before, the latest moment at which a count was told to
    /// have been true.
    ///
    /// `ended` tells when a write through this cache was acknowledged: for others, and for those
    /// that failed, it is `None`.
    pub(crate) fn allows(
        &self,
        event: &EventId,
        count: &Count,
        read: &Span,
        seen: Option<Instant>,
        ended: impl Fn(usize) -> Option<usize>,
    ) -> bool {
        let changes = self.changes.lock().unwrap();
        let changes: Vec<_> = changes.iter().filter(|change| change.event == *event).collect();
        let mut truth = 0;
        (0..=changes.len()).any(|at| {
            let since = at.checked_sub(1).map(|last| changes[last].at);
            truth += at.checked_sub(1).map_or(0, |last| changes[last].by);
            let (asked, answered) = (read.began.1, read.ended.1);
            let until = changes.get(at).map(|next| next.at);
            let begun = since.is_none_or(|since| since <= answered);
            let recent = until.is_none_or(|until| until + count.age >= asked);
            let recent = recent && until.is_none_or(|until| seen.is_none_or(|seen| until >= seen));
            // What was acknowledged while the read ran may be in it or not.
            let (mut own, mut fewer, mut more) = (truth, 0, 0);
            for change in &changes[at..] {
                match ended(change.call) {
                    Some(ended) if ended < read.began.0 => own += change.by,
                    Some(ended) if ended < read.ended.0 => {
                        (fewer, more) = (fewer + change.by.min(0), more + change.by.max(0));
                    }
                    _ => {}
                }
            }
            let possible = own + fewer..=own + more;
            begun && recent && possible.contains(&(count.value as i64))
        })
    }
}

/// A process's way to the store.
pub(crate) type Recorded = Hooked<Arc<History>>;

impl Hook for Arc<History> {
    fn store(&self) -> &MemoryStore {
        &self.store
    }

    async fn write<T: Send>(
        &self,
        writes: &[Write],
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        self.record(writes, call).await
    }

    fn listed(&self, user: &UserId, events: &[EventId]) {
        let mut listed = self.listed.lock().unwrap();
        let (_, all) = listed.entry(PLAN.get().call).or_insert_with(|| (user.clone(), Vec::new()));
        all.extend_from_slice(events);
    }

    async fn count(
        &self,
        _events: &[EventId],
        _consistency: &Consistency,
        call: impl Future<Output = Counted> + Send,
    ) -> Counted {
        let Plan { before, after, fate, .. } = self.plan_of_read();
        sleep(before).await;
        let counts = call.await;
        sleep(after).await;
        if fate != Fate::Answered {
            return Err(Error::unavailable(Operation::RsvpCount, Effect::NotApplied, None));
        }
        counts
    }
}
