//! The writers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rsvp_core::{
    Action, BatchReceipt, Deadline, Effect, Error, EventId, Outcome, RsvpStore, UserId, Write,
    WriteOptions, Written,
};
use tokio::sync::watch;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep, timeout};

use super::record::Ledger;

const EVENTS: u64 = 5;
const USERS_OF_A_WRITER: usize = 12;

/// More than any call, and the return of any engine, takes on a machine that is busy with other
/// tests.
const LIMIT: Duration = Duration::from_secs(60);

const PAUSE_BETWEEN_ATTEMPTS: Duration = Duration::from_millis(5);

/// The events that all writers share.
pub(super) fn events() -> impl Iterator<Item = EventId> {
    (0..EVENTS).map(EventId::from)
}

/// Writers at work on pairs of their own of events that they share.
///
/// Each writes batches of random writes. Writes that fail are repeated as they are, after a pause
/// of 5 ms, and not before they are settled. After some failures, chosen at random, the writer goes
/// on with another batch, like a host whose user went away.
///
/// A writer panics when an error is not retryable, when an outcome contradicts what was
/// acknowledged before (unless [forgiving](Self::start_forgiving)), and when a call is not over
/// after 60 s, or a write not settled. The panic surfaces in [`stop`](Self::stop). Dropping this aborts the writers.
#[derive(Debug)]
#[must_use = "the writers are aborted when this is dropped"]
pub struct Writers {
    stop: Arc<AtomicBool>,
    acknowledged: watch::Sender<u64>,
    gap: Arc<Mutex<Gap>>,
    tasks: JoinSet<Ledger>,
}

/// The longest time between two acknowledgements.
#[derive(Debug)]
struct Gap {
    last: Instant,
    longest: Duration,
}

impl Writers {
    /// Starts `count` writers on `store`, which must be empty and nobody else's to write to.
    ///
    /// All their choices follow from `random`.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn start(store: Arc<dyn RsvpStore>, count: usize, random: &mut StdRng) -> Self {
        Self::launch(&store, count, random, false)
    }

    /// As [`start`](Self::start), for engines that may lose acknowledged writes. Outcomes are not
    /// compared with the ledger.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn start_forgiving(store: Arc<dyn RsvpStore>, count: usize, random: &mut StdRng) -> Self {
        Self::launch(&store, count, random, true)
    }

    fn launch(
        store: &Arc<dyn RsvpStore>,
        count: usize,
        random: &mut StdRng,
        forgiving: bool,
    ) -> Self {
        let mut writers = Self {
            stop: Arc::default(),
            acknowledged: watch::Sender::new(0),
            gap: Arc::new(Mutex::new(Gap { last: Instant::now(), longest: Duration::ZERO })),
            tasks: JoinSet::new(),
        };
        for name in 0..count {
            let writer = Writer {
                name,
                store: Arc::clone(store),
                random: StdRng::seed_from_u64(random.random()),
                forgiving,
                ledger: Ledger::default(),
                acknowledged: writers.acknowledged.clone(),
                gap: Arc::clone(&writers.gap),
            };
            writers.tasks.spawn(writer.run(Arc::clone(&writers.stop)));
        }
        writers
    }

    /// Waits until `more` writes have been acknowledged from now on.
    ///
    /// # Panics
    ///
    /// After 60 s.
    pub async fn acknowledge(&self, more: u64) {
        let goal = self.acknowledged() + more;
        let mut acknowledged = self.acknowledged.subscribe();
        let reached = acknowledged.wait_for(|done| *done >= goal);
        assert!(
            timeout(LIMIT, reached).await.is_ok(),
            "{more} writes were not acknowledged within {LIMIT:?}"
        );
    }

    /// The number of acknowledged writes.
    pub fn acknowledged(&self) -> u64 {
        *self.acknowledged.borrow()
    }

    /// The longest time between two acknowledgements since the last call of this method. The time
    /// since the latest one is not counted before the next one comes.
    pub fn longest_gap(&self) -> Duration {
        std::mem::take(&mut self.gap.lock().unwrap().longest)
    }

    /// Stops the writers, and returns the state that each pair must have.
    ///
    /// Calls in flight are waited for, and so are writes whose effect is
    /// [pending](Effect::Pending). Writes that failed are not repeated.
    ///
    /// # Panics
    ///
    /// If a writer has panicked.
    pub async fn stop(self) -> Ledger {
        self.stop.store(true, Ordering::SeqCst);
        let ledgers = self.tasks.join_all().await;
        Ledger(ledgers.into_iter().flat_map(|ledger| ledger.0).collect())
    }
}

struct Writer {
    name: usize,
    store: Arc<dyn RsvpStore>,
    random: StdRng,
    forgiving: bool,
    ledger: Ledger,
    acknowledged: watch::Sender<u64>,
    gap: Arc<Mutex<Gap>>,
}

impl Writer {
    async fn run(mut self, stop: Arc<AtomicBool>) -> Ledger {
        while !stop.load(Ordering::SeqCst) {
            let length = self.random.random_range(1..=8);
            let batch: Vec<Write> = (0..length).map(|_| self.write()).collect();
            self.write_until_acknowledged(batch, &stop).await;
            // A store that never waits would keep the thread to itself.
            yield_now().await;
        }
        self.ledger
    }

    fn write(&mut self) -> Write {
        let user = format!("{}/{}", self.name, self.random.random_range(0..USERS_OF_A_WRITER));
        let user = UserId::new(user).expect("a legal id");
        let event = EventId::from(self.random.random_range(0..EVENTS));
        match self.random.random_bool(0.5) {
            true => Write::rsvp(user, event),
            false => Write::cancel(user, event),
        }
    }

    /// Repeats the writes that failed, and gives up on some of them.
    async fn write_until_acknowledged(&mut self, batch: Vec<Write>, stop: &AtomicBool) {
        let mut left = batch;
        while !left.is_empty() {
            let failures = self.attempt(&left).await;
            let Some(pause) = failures.iter().map(|(_, error)| pause_after(error)).max() else {
                return;
            };
            for (write, error) in &failures {
                assert!(error.is_retryable(), "{error:?}");
                if error.effect() != Effect::NotApplied {
                    self.ledger.0.insert(write.rsvp.clone(), None);
                }
            }
            // Until then a write may still be at work, so neither its repetition nor the end of the
            // test may come before.
            sleep(pause).await;
            if stop.load(Ordering::SeqCst) || self.random.random_bool(0.1) {
                return;
            }
            left = failures.into_iter().map(|(write, _)| write).collect();
        }
    }

    /// Writes once, and returns the writes that failed.
    async fn attempt(&mut self, batch: &[Write]) -> Vec<(Write, Error)> {
        let options = WriteOptions::default();
        let answer = timeout(LIMIT, self.store.write_batch(batch, &options)).await;
        match answer.unwrap_or_else(|_| panic!("a write was not over after {LIMIT:?}")) {
            Ok(receipt) => self.acknowledge(batch, receipt),
            Err(error) => batch.iter().map(|write| (write.clone(), error.clone())).collect(),
        }
    }

    /// Records the writes that were acknowledged, and returns the others.
    ///
    /// Where the state before is known, so is the outcome: also after errors that said
    /// [`Effect::NotApplied`].
    fn acknowledge(&mut self, batch: &[Write], receipt: BatchReceipt) -> Vec<(Write, Error)> {
        assert_eq!(receipt.results.len(), batch.len(), "one result for each write");
        let mut failures = Vec::new();
        for (write, result) in batch.iter().zip(receipt.results) {
            match result {
                Ok(written) => self.record(write, written),
                Err(error) => failures.push((write.clone(), error)),
            }
        }
        let acknowledged = batch.len() - failures.len();
        if acknowledged > 0 {
            self.acknowledged.send_modify(|done| *done += acknowledged as u64);
            let mut gap = self.gap.lock().unwrap();
            gap.longest = gap.longest.max(gap.last.elapsed());
            gap.last = Instant::now();
        }
        failures
    }

    fn record(&mut self, write: &Write, Written { outcome, repeated, .. }: Written) {
        let wanted = write.action == Action::Rsvp;
        let before = self.ledger.0.insert(write.rsvp.clone(), Some(wanted));
        let before = before.unwrap_or(Some(false));
        if let (false, Some(before)) = (self.forgiving, before) {
            let expected = Outcome::from_changed(before != wanted);
            // An earlier attempt within the store may have applied it.
            let earlier = repeated && outcome == Outcome::Unchanged;
            assert!(outcome == expected || earlier, "the outcome of {write:?}: {outcome:?}");
        }
    }
}

/// How long a writer waits after an error: a write that is [pending](Effect::Pending) is neither
/// repeated nor given up before it is settled.
fn pause_after(error: &Error) -> Duration {
    let settled = error.retry_at().map_or(Duration::ZERO, Deadline::remaining);
    assert!(settled <= LIMIT, "a write is not settled within {LIMIT:?}");
    settled.max(PAUSE_BETWEEN_ATTEMPTS)
}
