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

/// The longest wait. No call and no return of an engine takes as long, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

const PAUSE_BETWEEN_ATTEMPTS: Duration = Duration::from_millis(5);

/// Returns the events shared by all writers.
pub(super) fn events() -> impl Iterator<Item = EventId> {
    (0..EVENTS).map(EventId::from)
}

/// Writers at work. Each has pairs of its own, of shared events.
///
/// A writer makes batches of random writes.
/// It repeats failed writes unchanged, after a pause of 5 ms and after their effect is settled.
/// After some failures, chosen at random, the writer goes on with another batch,
/// like a host whose user went away.
///
/// A writer panics after an error that is not retryable.
/// It panics after an outcome that contradicts an earlier acknowledgement,
/// unless it is [forgiving](Self::start_forgiving).
/// It also panics if a call, or the settling of a write, takes more than 60 s.
/// [`stop`](Self::stop) passes the panic on. Dropping this aborts the writers.
///
/// ```
/// use std::sync::Arc;
///
/// use rand::SeedableRng;
/// use rand::rngs::StdRng;
/// use rsvp_memory::MemoryStore;
/// use rsvp_testkit::ledger::Writers;
///
/// # #[tokio::main]
/// # async fn main() {
/// let mut random = StdRng::seed_from_u64(rsvp_testkit::seed());
/// let writers = Writers::start(Arc::new(MemoryStore::new()), 4, &mut random);
/// writers.acknowledge(10).await;
/// assert!(writers.acknowledged() >= 10);
/// writers.stop().await;
/// # }
/// ```
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
    /// Starts `count` writers on `store`. The store must be empty, and must have no other writers.
    ///
    /// All their choices follow from `random`.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn start(store: Arc<dyn RsvpStore>, count: usize, random: &mut StdRng) -> Self {
        Self::launch(&store, count, random, false)
    }

    /// As [`start`](Self::start), for engines that may lose acknowledged writes.
    /// The writers do not compare outcomes with the ledger.
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
                // Each writer has a seed of its own, so the order of tasks changes no choices.
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

    /// Waits for the acknowledgement of `more` further writes.
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

    /// Returns the number of acknowledged writes.
    pub fn acknowledged(&self) -> u64 {
        *self.acknowledged.borrow()
    }

    /// Returns the longest time between two acknowledgements since the last call of this method.
    /// The time since the latest acknowledgement counts only after the next one.
    pub fn longest_gap(&self) -> Duration {
        std::mem::take(&mut self.gap.lock().unwrap().longest)
    }

    /// Stops the writers, and returns the state that each pair must have.
    ///
    /// It waits for calls in flight, and for writes with a [pending](Effect::Pending) effect.
    /// Failed writes are not repeated.
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

    /// Repeats the failed writes, and gives some of them up.
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
            // A pending write may still take effect until then.
            // Neither its repetition nor the end of the test may come earlier.
            sleep(pause).await;
            // A user who goes away leaves a failed write as it is.
            // The next write of the pair then follows a write of unknown effect.
            if stop.load(Ordering::SeqCst) || self.random.random_bool(0.1) {
                return;
            }
            left = failures.into_iter().map(|(write, _)| write).collect();
        }
    }

    /// Writes once, and returns the failed writes.
    async fn attempt(&mut self, batch: &[Write]) -> Vec<(Write, Error)> {
        let options = WriteOptions::default();
        let answer = timeout(LIMIT, self.store.write_batch(batch, &options)).await;
        match answer.unwrap_or_else(|_| panic!("a write was not over after {LIMIT:?}")) {
            Ok(receipt) => self.acknowledge(batch, receipt),
            Err(error) => batch.iter().map(|write| (write.clone(), error.clone())).collect(),
        }
    }

    /// Records the acknowledged writes, and returns the others.
    ///
    /// If the state before the write is known, the outcome is known, too.
    /// This includes errors with [`Effect::NotApplied`].
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
        // A pair without writes is absent. The store was empty, and no other writer has the pair.
        let before = before.unwrap_or(Some(false));
        if let (false, Some(before)) = (self.forgiving, before) {
            let expected = Outcome::from_changed(before != wanted);
            // An earlier attempt within the store may have applied it.
            let earlier = repeated && outcome == Outcome::Unchanged;
            assert!(outcome == expected || earlier, "the outcome of {write:?}: {outcome:?}");
        }
    }
}

/// Returns the pause of a writer after an error.
/// A [pending](Effect::Pending) write is neither repeated nor given up before it is settled.
fn pause_after(error: &Error) -> Duration {
    let settled = error.retry_at().map_or(Duration::ZERO, Deadline::remaining);
    assert!(settled <= LIMIT, "a write is not settled within {LIMIT:?}");
    settled.max(PAUSE_BETWEEN_ATTEMPTS)
}
