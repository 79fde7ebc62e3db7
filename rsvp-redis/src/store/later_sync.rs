//! Later syncs after failed writes in a cluster. When a failed write can no longer take effect, the
//! store syncs the list of its user with the truth once more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rsvp_core::{Deadline, Effect, Error, Operation, Result, Rsvp, Write};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};

use super::RedisStore;
use crate::data::membership::read_each;
use crate::data::user_index;
use crate::wire::call_deadline::Call;
use crate::wire::request::Dispatch;

/// The most remembered pairs. More are left to a repair.
const MOST: usize = 100_000;
/// The most pairs of one sync.
const AT_ONCE: usize = 1_000;
/// The attempts for a pair while its servers cannot be reached. The pauses double, up to a minute.
const MOST_TRIES: u32 = 10;
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A pair to sync.
#[derive(Clone, Debug)]
struct Unsynced {
    /// From this moment on its write can no longer take effect.
    due: Instant,
    pair: Rsvp,
    tries: u32,
}

/// The pairs to sync.
#[derive(Debug, Default)]
pub(super) struct LaterSync(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    pairs: Vec<Unsynced>,
    /// Whether a task waits for them.
    has_task: bool,
}

impl LaterSync {
    /// Forgets all pairs.
    pub(super) fn clear(&self) {
        self.lock().pairs.clear();
    }

    /// The due pairs, or else the time of the next ones. `None` ends the task.
    fn take_due(&self) -> Option<Result<Vec<Unsynced>, Instant>> {
        let mut waiting = self.lock();
        let now = Instant::now();
        let Some(next) = waiting.pairs.iter().map(|one| one.due).min() else {
            waiting.has_task = false;
            return None;
        };
        if next > now {
            return Some(Err(next));
        }
        let mut due = Vec::new();
        waiting.pairs.retain(|one| {
            let takes = one.due <= now && due.len() < AT_ONCE;
            if takes {
                due.push(one.clone());
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
    /// Remembers failed writes with an unknown or pending effect. They may have changed one side
    /// only. On one server both sides change at once.
    pub(super) fn sync_later(&self, writes: &[Write], results: &[Result<bool>]) {
        if !self.client().is_cluster() || results.iter().all(Result::is_ok) {
            return;
        }
        let later = Instant::now() + self.config().user_timeout();
        let mut waiting = self.inner.later_sync.lock();
        for (write, result) in writes.iter().zip(results) {
            let due = match result.as_ref().err().map(rsvp_core::Error::effect) {
                None | Some(Effect::NotApplied) => continue,
                Some(Effect::Pending(until)) => until.instant().max(later),
                Some(_) => later,
            };
            if waiting.pairs.len() < MOST {
                let pair = write.rsvp.clone();
                waiting.pairs.push(Unsynced { due, pair, tries: 0 });
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

    /// Syncs the lists with the truth. Pairs of unreachable servers are tried again, and in the end
    /// left to a repair.
    async fn sync_from_truth(&self, due: Vec<Unsynced>) {
        let deadline = Deadline::after(Duration::from_secs(30));
        let call = Call::new(Operation::Repair, Some(deadline));
        let _permit = match self.admit(call) {
            Ok(permit) => permit,
            Err(Error::Closed { .. }) => return,
            // All places are taken, as they are in the outage that made these pairs.
            Err(_) => return self.try_again(due),
        };
        let (client, keys) = (self.client(), self.keys());
        let held = read_each(client, keys, call, due.iter().map(|one| &one.pair)).await;
        let (mut known, mut failed) = (Vec::new(), Vec::new());
        for (one, held) in due.into_iter().zip(held) {
            match held {
                Ok(held) => known.push((one, held)),
                Err(_) => failed.push(one),
            }
        }
        let write = |(Unsynced { pair, .. }, held): &(Unsynced, bool)| match held {
            true => Write::rsvp(pair.user.clone(), pair.event.clone()),
            false => Write::cancel(pair.user.clone(), pair.event.clone()),
        };
        let writes = known.iter().map(write).collect();
        let failures = user_index::sync(client, keys, call, writes).await;
        let unsynced = known.into_iter().zip(failures).filter(|(_, failure)| failure.is_some());
        failed.extend(unsynced.map(|((one, _), _)| one));
        self.try_again(failed);
    }

    fn try_again(&self, failed: Vec<Unsynced>) {
        let all = failed.len();
        let again = failed.into_iter().filter(|one| one.tries < MOST_TRIES).map(|one| {
            let pause = self.config().user_timeout().saturating_mul(1 << one.tries);
            let due = Instant::now() + pause.min(LONGEST_PAUSE);
            Unsynced { due, tries: one.tries + 1, ..one }
        });
        let again: Vec<Unsynced> = again.collect();
        if again.len() < all {
            let left = all - again.len();
            tracing::warn!(left, "lists of users may differ from the events: repair the store");
        }
        self.inner.later_sync.lock().pairs.extend(again);
    }
}

/// Syncs pairs as they are due. Ends when there are none left, and with the store.
async fn sync_when_due(store: std::sync::Weak<super::Inner>) {
    loop {
        let next = match store.upgrade() {
            Some(inner) => inner.later_sync.take_due(),
            None => return,
        };
        match next {
            None => return,
            Some(Err(due)) => sleep_until(due).await,
            Some(Ok(due)) => match store.upgrade() {
                Some(inner) => RedisStore { inner }.sync_from_truth(due).await,
                None => return,
            },
        }
    }
}
