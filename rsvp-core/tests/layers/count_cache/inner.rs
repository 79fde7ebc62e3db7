//! The store inside: a memory store that tells what it was asked, and does as it is told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rsvp_core::{
    BatchReceipt, Consistency, Count, EventId, Page, PageLimit, PageRequest, RemovalStep, Result,
    Rsvp, RsvpStore, UserId, Write, async_trait,
};
use rsvp_memory::MemoryStore;

use crate::count_cache::control::{Control, Point};

#[derive(Debug, Default)]
pub(crate) struct Inner {
    store: Arc<MemoryStore>,
    pub(crate) reads: Control,
    pub(crate) writes: Control,
    log: Mutex<Vec<(Vec<EventId>, Consistency)>>,
    /// What these events answer, whatever they hold.
    absurd: Mutex<BTreeMap<EventId, u64>>,
    answers_too_little: AtomicBool,
}

impl Inner {
    /// Another process's store on the same data.
    pub(crate) fn peer(&self) -> Arc<Self> {
        Arc::new(Self { store: self.store.clone(), ..Self::default() })
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

    /// From now on `event` answers `count`.
    pub(crate) fn claim(&self, event: &EventId, count: u64) {
        self.absurd.lock().unwrap().insert(event.clone(), count);
    }
}

#[async_trait]
impl RsvpStore for Inner {
    async fn write_batch(&self, writes: &[Write]) -> Result<BatchReceipt> {
        self.writes.pass(Point::Before).await?;
        let written = self.store.write_batch(writes).await;
        self.writes.pass(Point::After).await?;
        written
    }

    async fn has_rsvped_batch(&self, pairs: &[Rsvp], level: &Consistency) -> Result<Vec<bool>> {
        self.store.has_rsvped_batch(pairs, level).await
    }

    async fn rsvp_counts(&self, events: &[EventId], level: &Consistency) -> Result<Vec<Count>> {
        self.log.lock().unwrap().push((events.to_vec(), level.clone()));
        self.reads.pass(Point::Before).await?;
        let mut counts = self.store.rsvp_counts(events, level).await?;
        for (event, count) in events.iter().zip(&mut counts) {
            let claimed = self.absurd.lock().unwrap().get(event).copied();
            count.value = claimed.unwrap_or(count.value);
        }
        if self.answers_too_little.load(Ordering::SeqCst) {
            counts.pop();
        }
        self.reads.pass(Point::After).await?;
        Ok(counts)
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        self.store.attendees_page(event, request).await
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        self.store.events_of_page(user, request).await
    }

    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
        self.store.scan_page(request).await
    }

    async fn remove_event_step(&self, event: &EventId, limit: PageLimit) -> Result<RemovalStep> {
        self.writes.pass(Point::Before).await?;
        let step = self.store.remove_event_step(event, limit).await;
        self.writes.pass(Point::After).await?;
        step
    }

    async fn remove_user_step(&self, user: &UserId, limit: PageLimit) -> Result<RemovalStep> {
        self.writes.pass(Point::Before).await?;
        let step = self.store.remove_user_step(user, limit).await;
        self.writes.pass(Point::After).await?;
        step
    }

    async fn ready(&self) -> Result<()> {
        self.store.ready().await
    }
}
