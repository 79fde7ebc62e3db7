//! The store inside: a memory store that tells what it was asked, and does as it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rsvp_core::{Consistency, Error, EventId, Operation, Result, Write};
use rsvp_memory::MemoryStore;

use crate::count_cache::control::{Control, Point};
use crate::hooked::{Counted, Hook, Hooked};

pub(crate) type Inner = Hooked<Controlled>;

#[derive(Debug, Default)]
pub(crate) struct Controlled {
    store: Arc<MemoryStore>,
    pub(crate) reads: Control,
    pub(crate) writes: Control,
    log: Mutex<Vec<(Vec<EventId>, Consistency)>>,
    /// What these events answer, whatever they hold.
    absurd: Mutex<BTreeMap<EventId, u64>>,
    /// The events whose counts fail.
    refused: Mutex<BTreeSet<EventId>>,
    /// The events whose counts are not answered.
    frozen: Mutex<BTreeSet<EventId>>,
    answers_too_little: AtomicBool,
    /// How old the counts of session reads may be.
    lag: Mutex<Duration>,
}

impl Controlled {
    /// Another process's store on the same data.
    pub(crate) fn peer(&self) -> Arc<Inner> {
        Arc::new(Hooked(Self { store: self.store.clone(), ..Self::default() }))
    }

    /// The data, for writes that no cache sees.
    pub(crate) fn data(&self) -> &MemoryStore {
        &self.store
    }

    /// The calls for counts: of which events, and how fresh.
    pub(crate) fn log(&self) -> Vec<(Vec<EventId>, Consistency)> {
        self.log.lock().unwrap().clone()
    }

    /// How many calls for counts there have been.
    pub(crate) fn reads(&self) -> usize {
        self.log.lock().unwrap().len()
    }

    /// From now on calls for counts answer one too few.
    pub(crate) fn answer_too_little(&self) {
        self.answers_too_little.store(true, Ordering::SeqCst);
    }

    /// From now on session reads are answered by a replica whose counts may be this old.
    pub(crate) fn lag(&self, age: Duration) {
        *self.lag.lock().unwrap() = age;
    }

    /// From now on the count of `event` fails.
    pub(crate) fn refuse(&self, event: &EventId) {
        self.refused.lock().unwrap().insert(event.clone());
    }

    /// From now on a call for the count of one of `events` hangs.
    pub(crate) fn freeze(&self, events: impl IntoIterator<Item = EventId>) {
        self.frozen.lock().unwrap().extend(events);
    }

    /// From now on `event` answers `count`.
    pub(crate) fn claim(&self, event: &EventId, count: u64) {
        self.absurd.lock().unwrap().insert(event.clone(), count);
    }
}

impl Hook for Controlled {
    fn store(&self) -> &MemoryStore {
        &self.store
    }

    async fn write<T: Send>(
        &self,
        _writes: &[Write],
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        self.writes.pass(Point::Before).await?;
        let written = call.await;
        self.writes.pass(Point::After).await?;
        written
    }

    async fn count(
        &self,
        events: &[EventId],
        consistency: &Consistency,
        call: impl Future<Output = Counted> + Send,
    ) -> Counted {
        self.log.lock().unwrap().push((events.to_vec(), consistency.clone()));
        let hangs = events.iter().any(|event| self.frozen.lock().unwrap().contains(event));
        if hangs {
            pending::<()>().await;
        }
        self.reads.pass(Point::Before).await?;
        let mut counts = call.await?;
        for (event, count) in events.iter().zip(&mut counts) {
            if let (Some(claimed), Ok(count)) = (self.absurd.lock().unwrap().get(event), count) {
                count.value = *claimed;
            }
        }
        for (event, count) in events.iter().zip(&mut counts) {
            if self.refused.lock().unwrap().contains(event) {
                *count = Err(Error::corrupt(Operation::RsvpCount, "the engine refuses it"));
            }
        }
        if matches!(consistency, Consistency::Session(_)) {
            counts.iter_mut().flatten().for_each(|count| count.age = *self.lag.lock().unwrap());
        }
        if self.answers_too_little.load(Ordering::SeqCst) {
            counts.pop();
        }
        self.reads.pass(Point::After).await?;
        Ok(counts)
    }
}
