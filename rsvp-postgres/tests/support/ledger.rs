//! Writers who remember what was acknowledged, and the check that it holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::TryStreamExt;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rsvp_core::{
    Action, BatchReceipt, Consistency, Effect, Error, Outcome, Rsvp, RsvpStore, RsvpStoreExt, Write,
};
use rsvp_postgres::PostgresStore;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::{attendance, event, user};

const EVENTS: usize = 5;
const USERS_OF_A_WRITER: usize = 12;

/// What is known about a pair: `None` after a write of unknown effect.
type Ledger = BTreeMap<Rsvp, Option<bool>>;

/// Writers at work on pairs of their own of events that they share.
pub(crate) struct Writers {
    stop: Arc<AtomicBool>,
    acknowledged: watch::Sender<u64>,
    gap: Arc<Mutex<Gap>>,
    tasks: JoinSet<Ledger>,
}

/// The longest time between two acknowledgements.
struct Gap {
    last: Instant,
    longest: Duration,
}

impl Writers {
    pub(crate) fn start(store: &PostgresStore, count: usize, random: &mut StdRng) -> Self {
        let mut writers = Self {
            stop: Arc::default(),
            acknowledged: watch::Sender::new(0),
            gap: Arc::new(Mutex::new(Gap { last: Instant::now(), longest: Duration::ZERO })),
            tasks: JoinSet::new(),
        };
        for name in 0..count {
            let writer = Writer {
                name,
                store: store.clone(),
                random: StdRng::seed_from_u64(random.random()),
                ledger: Ledger::new(),
                acknowledged: writers.acknowledged.clone(),
                gap: Arc::clone(&writers.gap),
            };
            writers.tasks.spawn(writer.run(Arc::clone(&writers.stop)));
        }
        writers
    }

    /// Waits until `more` writes have been acknowledged from now on.
    pub(crate) async fn acknowledge(&self, more: u64) {
        let goal = *self.acknowledged.borrow() + more;
        let mut acknowledged = self.acknowledged.subscribe();
        let reached = acknowledged.wait_for(|done| *done >= goal);
        assert!(tokio::time::timeout(super::LIMIT, reached).await.is_ok(), "writes come through");
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        *self.acknowledged.borrow()
    }

    /// The longest time between two acknowledgements since it was asked last.
    pub(crate) fn longest_gap(&self) -> Duration {
        std::mem::take(&mut self.gap.lock().unwrap().longest)
    }

    /// Stops the writers; returns what each pair must be.
    pub(crate) async fn stop(self) -> Ledger {
        self.stop.store(true, Ordering::SeqCst);
        self.tasks.join_all().await.into_iter().flatten().collect()
    }
}

struct Writer {
    name: usize,
    store: PostgresStore,
    random: StdRng,
    ledger: Ledger,
    acknowledged: watch::Sender<u64>,
    gap: Arc<Mutex<Gap>>,
}

impl Writer {
    async fn run(mut self, stop: Arc<AtomicBool>) -> Ledger {
        while !stop.load(Ordering::SeqCst) {
            let length = self.random.random_range(1..=8);
            let batch: Vec<Write> = (0..length).map(|_| self.write()).collect();
            self.write_until_acknowledged(&batch, &stop).await;
        }
        self.ledger
    }

    fn write(&mut self) -> Write {
        let user =
            user(format!("{}/{}", self.name, self.random.random_range(0..USERS_OF_A_WRITER)));
        let event = event(self.random.random_range(0..EVENTS));
        match self.random.random_bool(0.5) {
            true => Write::rsvp(user, event),
            false => Write::cancel(user, event),
        }
    }

    /// Repeats a failed call as it is, and gives up on some of them.
    async fn write_until_acknowledged(&mut self, batch: &[Write], stop: &AtomicBool) {
        loop {
            match self.store.write_batch(batch).await {
                Ok(receipt) => return self.acknowledge(batch, &receipt),
                Err(error) => {
                    assert!(error.is_retryable(), "{error:?}");
                    if error.effect() == Effect::Unknown {
                        self.forget(batch);
                    }
                    // A call that timed out may still be at work, so only its repetition orders it.
                    let lost = !matches!(error, Error::TimedOut { .. });
                    if lost && (stop.load(Ordering::SeqCst) || self.random.random_bool(0.1)) {
                        return;
                    }
                    sleep(Duration::from_millis(5)).await;
                }
            }
        }
    }

    fn forget(&mut self, batch: &[Write]) {
        let pairs = batch.iter().map(|write| (write.rsvp.clone(), None));
        self.ledger.extend(pairs);
    }

    /// Where the state before is known, so is the outcome: also after errors that said
    /// [`Effect::NotApplied`].
    fn acknowledge(&mut self, batch: &[Write], receipt: &BatchReceipt) {
        assert_eq!(receipt.outcomes.len(), batch.len());
        for (write, outcome) in batch.iter().zip(&receipt.outcomes) {
            let wanted = write.action == Action::Rsvp;
            let before = self.ledger.insert(write.rsvp.clone(), Some(wanted));
            if let Some(before) = before.unwrap_or(Some(false)) {
                assert_eq!(*outcome, Outcome::from_changed(before != wanted), "{write:?}");
            }
        }
        self.acknowledged.send_modify(|done| *done += batch.len() as u64);
        let mut gap = self.gap.lock().unwrap();
        gap.longest = gap.longest.max(gap.last.elapsed());
        gap.last = Instant::now();
    }
}

/// Every pair whose last write was acknowledged is exactly so, nobody else is in, and all counts
/// are those of their rows.
pub(crate) async fn check(store: &PostgresStore, ledger: &Ledger) {
    let pairs: Vec<Rsvp> = ledger.keys().cloned().collect();
    let held = store.has_rsvped_batch(&pairs, &Consistency::Strong).await.unwrap();
    let unknown = ledger.values().filter(|state| state.is_none()).count();
    for ((pair, state), held) in ledger.iter().zip(&held) {
        assert!(state.is_none_or(|state| state == *held), "{pair:?}: {state:?}, held: {held}");
    }
    let present = pairs.into_iter().zip(held).filter(|(_, held)| *held).map(|(pair, _)| pair);
    let present: BTreeSet<Rsvp> = present.collect();
    let scanned: BTreeSet<Rsvp> = store.scan().try_collect().await.unwrap();
    assert_eq!(scanned, present);
    let mut total = 0;
    for name in 0..EVENTS {
        total += attendance(store, &event(name)).await;
    }
    assert_eq!(total, present.len() as u64);
    assert_eq!(store.audit().await.unwrap().drifts, []);
    println!("{} pairs, {} of them in, {unknown} of unknown state", ledger.len(), present.len());
}
