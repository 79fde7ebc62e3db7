//! A model of an engine: it takes time for batches and entries, and waits for events that somebody
//! else has locked.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rsvp_core::layers::{CoalesceConfig, CoalescedStore, LayerExt};
use rsvp_core::{Deadline, Effect, Error, EventId, Operation, Result, Write, WriteOptions};
use rsvp_memory::MemoryStore;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use crate::hooked::{Hook, Hooked};

/// A batch takes 5 ms, and 50 µs for each entry.
#[derive(Debug)]
pub(crate) struct Engine {
    store: MemoryStore,
    locked: watch::Sender<BTreeSet<EventId>>,
    in_flight: Mutex<BTreeSet<EventId>>,
    /// The batches that are in flight, and the most that have been.
    batches: Mutex<(usize, usize)>,
    /// Each batch that has begun: its events in their order, and its entries.
    log: Mutex<Vec<(Vec<EventId>, usize)>>,
}

pub(crate) type Modelled = Arc<CoalescedStore<Arc<Hooked<Engine>>>>;

/// A coalesced engine, and the engine.
pub(crate) fn modelled(config: CoalesceConfig) -> (Modelled, Arc<Hooked<Engine>>) {
    let engine = Arc::new(Hooked(Engine {
        store: MemoryStore::new(),
        locked: watch::Sender::default(),
        in_flight: Mutex::default(),
        batches: Mutex::default(),
        log: Mutex::default(),
    }));
    (Arc::new(engine.clone().with_coalescing(config).unwrap()), engine)
}

impl Engine {
    /// Makes the batches of an event wait until it is unlocked.
    pub(crate) fn lock(&self, event: &EventId) {
        self.locked.send_if_modified(|locked| locked.insert(event.clone()));
    }

    pub(crate) fn unlock(&self, event: &EventId) {
        self.locked.send_if_modified(|locked| locked.remove(event));
    }

    /// The batches that have begun since this was last called.
    pub(crate) fn batches(&self) -> Vec<(Vec<EventId>, usize)> {
        std::mem::take(&mut self.log.lock().unwrap())
    }

    pub(crate) fn most_batches(&self) -> usize {
        self.batches.lock().unwrap().1
    }

    pub(crate) fn memory(&self) -> &MemoryStore {
        &self.store
    }

    /// Waits until none of the events is locked, at most until the deadline.
    async fn wait_for_locks(&self, events: &BTreeSet<EventId>, deadline: Deadline) -> Result<()> {
        let (began, mut locked) = (Instant::now(), self.locked.subscribe());
        let free = locked.wait_for(|locked| locked.is_disjoint(events));
        match timeout_at(deadline.instant(), free).await {
            Ok(_) => Ok(()),
            Err(_) => {
                let waited = began.elapsed();
                Err(Error::timed_out(Operation::Write, waited, Effect::NotApplied))
            }
        }
    }
}

impl Hook for Engine {
    fn store(&self) -> &MemoryStore {
        &self.store
    }

    async fn write_with<T: Send>(
        &self,
        writes: &[Write],
        options: &WriteOptions,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        // 1. The events of the batch are in no other one.
        let events: BTreeSet<_> = writes.iter().map(|write| write.rsvp.event.clone()).collect();
        for event in &events {
            let first = self.in_flight.lock().unwrap().insert(event.clone());
            assert!(first, "{event:?} is in flight twice");
        }
        {
            let mut batches = self.batches.lock().unwrap();
            batches.0 += 1;
            batches.1 = batches.1.max(batches.0);
            let mut in_order: Vec<_> =
                writes.iter().map(|write| write.rsvp.event.clone()).collect();
            in_order.dedup();
            self.log.lock().unwrap().push((in_order, writes.len()));
        }
        // 2. It waits for their locks, and then takes its time.
        let deadline = options.deadline.expect("no batch is without a deadline");
        let done = self.wait_for_locks(&events, deadline).await;
        if done.is_ok() {
            let entries = u32::try_from(writes.len()).unwrap();
            sleep(Duration::from_millis(5) + Duration::from_micros(50) * entries).await;
        }
        // 3. All of it takes effect or nothing.
        let answer = match done {
            Ok(()) => call.await,
            Err(error) => Err(error),
        };
        self.batches.lock().unwrap().0 -= 1;
        self.in_flight.lock().unwrap().retain(|event| !events.contains(event));
        answer
    }
}
