//! Pairs whose writes failed in a cluster: their lists are made to agree with the truth once more, when
//! nothing of the writes can come any more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rsvp_core::{Deadline, Effect, Operation, Result, Rsvp, Write};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};

use super::RedisStore;
use crate::data::membership::read_each;
use crate::data::user_index;
use crate::wire::call::Call;
use crate::wire::request::Dispatch;

/// The most pairs that are remembered. More are left to a repair.
const MOST: usize = 100_000;
/// The most pairs that are synced at once.
const AT_ONCE: usize = 1_000;

/// The pairs, each with the moment from which on nothing of its write can come.
#[derive(Debug, Default)]
pub(super) struct Unsettled(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    pairs: Vec<(Instant, Rsvp)>,
    /// Whether a task waits for them.
    has_task: bool,
}

impl Unsettled {
    /// Forgets all pairs.
    pub(super) fn clear(&self) {
        self.lock().pairs.clear();
    }

    /// The pairs that are due, and otherwise when the next ones are. `None` ends the task.
    fn take_due(&self) -> Option<Result<Vec<Rsvp>, Instant>> {
        let mut waiting = self.lock();
        let now = Instant::now();
        let Some(next) = waiting.pairs.iter().map(|(due, _)| *due).min() else {
            waiting.has_task = false;
            return None;
        };
        if next > now {
            return Some(Err(next));
        }
        let mut due = Vec::new();
        waiting.pairs.retain(|(at, pair)| {
            let takes = *at <= now && due.len() < AT_ONCE;
            if takes {
                due.push(pair.clone());
            }
            !takes
        });
        Some(Ok(due))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RedisStore {
    /// Remembers those writes that failed and may have changed one side only. On one server both sides
    /// change at once.
    pub(super) fn sync_later(&self, writes: &[Write], results: &[Result<bool>]) {
        if !self.client().is_cluster() || results.iter().all(Result::is_ok) {
            return;
        }
        let later = Instant::now() + self.config().user_timeout();
        let mut waiting = self.inner.unsettled.lock();
        for (write, result) in writes.iter().zip(results) {
            let due = match result.as_ref().err().map(rsvp_core::Error::effect) {
                None | Some(Effect::NotApplied) => continue,
                Some(Effect::Pending(until)) => until.instant().max(later),
                Some(_) => later,
            };
            if waiting.pairs.len() < MOST {
                waiting.pairs.push((due, write.rsvp.clone()));
            }
        }
        if waiting.pairs.is_empty() || waiting.has_task {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            waiting.has_task = true;
            drop(runtime.spawn(sync_when_due(Arc::downgrade(&self.inner))));
        }
    }

    /// Makes the lists agree with the truth. What cannot be reached is left to a repair.
    async fn sync_from_truth(&self, pairs: Vec<Rsvp>) {
        let deadline = Deadline::after(Duration::from_secs(30));
        let call = Call::new(Operation::Repair, Some(deadline));
        let Ok(_permit) = self.admit(call) else { return };
        let held = read_each(self.client(), self.keys(), call, pairs.iter()).await;
        let all = pairs.len();
        let writes = pairs.into_iter().zip(held).filter_map(|(pair, held)| match held {
            Ok(true) => Some(Write::rsvp(pair.user, pair.event)),
            Ok(false) => Some(Write::cancel(pair.user, pair.event)),
            Err(_) => None,
        });
        let writes: Vec<Write> = writes.collect();
        let mut failed = all - writes.len();
        let failures = user_index::sync(self.client(), self.keys(), call, writes).await;
        failed += failures.iter().flatten().count();
        if failed > 0 {
            tracing::warn!(failed, "lists of users may differ from the events: repair the store");
        }
    }
}

/// Syncs pairs as they are due. Ends when there are none left, and with the store.
async fn sync_when_due(store: std::sync::Weak<super::Inner>) {
    loop {
        let next = match store.upgrade() {
            Some(inner) => inner.unsettled.take_due(),
            None => return,
        };
        match next {
            None => return,
            Some(Err(due)) => sleep_until(due).await,
            Some(Ok(pairs)) => match store.upgrade() {
                Some(inner) => RedisStore { inner }.sync_from_truth(pairs).await,
                None => return,
            },
        }
    }
}
