//! The ledger's check passes on a store that keeps what it acknowledged, and on no other.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rsvp_core::{
    Action, BatchReceipt, Consistency, Count, Effect, Error, EventId, Operation, Outcome, Page,
    PageLimit, PageRequest, RemovalStep, Result, Rsvp, RsvpStore, RsvpStoreExt, UserId, Write,
    async_trait,
};
use rsvp_memory::MemoryStore;
use rsvp_testkit::ledger::{Ledger, Writers, check, lost};
use tokio::time::Instant;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Fault {
    #[default]
    None,
    /// Acknowledges cancels without doing anything.
    DropsCancels,
    CountsOneTooMany,
    ListsNoEvents,
    /// Every second write is applied, and none is answered.
    IsSilent,
    /// No write is sent.
    IsSilentBeforeSending,
    IsGone,
    Hangs,
}

/// A memory store that something happens to.
#[derive(Debug, Default)]
struct Engine {
    store: MemoryStore,
    fault: Mutex<Fault>,
}

impl Engine {
    fn suffers(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    fn is(&self, fault: Fault) -> bool {
        *self.fault.lock().unwrap() == fault
    }
}

#[async_trait]
impl RsvpStore for Engine {
    async fn write_batch(&self, writes: &[Write]) -> Result<BatchReceipt> {
        let write = Operation::Write;
        let after = Duration::from_secs(1);
        if self.is(Fault::Hangs) {
            std::future::pending::<()>().await;
        }
        if self.is(Fault::IsSilent) {
            let applied: Vec<Write> = writes.iter().step_by(2).cloned().collect();
            self.store.write_batch(&applied).await?;
            return Err(Error::timed_out(write, after, Effect::Unknown));
        }
        if self.is(Fault::IsSilentBeforeSending) {
            return Err(Error::timed_out(write, after, Effect::NotApplied));
        }
        if self.is(Fault::IsGone) {
            return Err(Error::unavailable(write, Effect::Unknown, None));
        }
        if self.is(Fault::DropsCancels) {
            let kept: Vec<Write> =
                writes.iter().filter(|write| write.action == Action::Rsvp).cloned().collect();
            let receipt = self.store.write_batch(&kept).await?;
            return Ok(BatchReceipt {
                outcomes: vec![Outcome::Applied; writes.len()],
                token: receipt.token,
            });
        }
        self.store.write_batch(writes).await
    }

    async fn has_rsvped_batch(&self, pairs: &[Rsvp], at: &Consistency) -> Result<Vec<bool>> {
        self.store.has_rsvped_batch(pairs, at).await
    }

    async fn rsvp_counts(&self, events: &[EventId], at: &Consistency) -> Result<Vec<Count>> {
        let mut counts = self.store.rsvp_counts(events, at).await?;
        if self.is(Fault::CountsOneTooMany) {
            counts.iter_mut().for_each(|count| count.value += 1);
        }
        Ok(counts)
    }

    async fn attendees_page(&self, event: &EventId, request: &PageRequest) -> Result<Page<UserId>> {
        self.store.attendees_page(event, request).await
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        let page = self.store.events_of_page(user, request).await?;
        let hides = self.is(Fault::ListsNoEvents);
        Ok(if hides { Page { items: Vec::new(), ..page } } else { page })
    }

    async fn scan_page(&self, request: &PageRequest) -> Result<Page<Rsvp>> {
        self.store.scan_page(request).await
    }

    async fn remove_event_step(&self, event: &EventId, limit: PageLimit) -> Result<RemovalStep> {
        self.store.remove_event_step(event, limit).await
    }

    async fn remove_user_step(&self, user: &UserId, limit: PageLimit) -> Result<RemovalStep> {
        self.store.remove_user_step(user, limit).await
    }

    async fn ready(&self) -> Result<()> {
        self.store.ready().await
    }
}

fn random() -> StdRng {
    let seed = rsvp_testkit::seed();
    println!("{}={seed}", rsvp_testkit::SEED_VARIABLE);
    StdRng::seed_from_u64(seed)
}

/// Writers write to an engine, then to one with the fault. Their stop is timed.
async fn written(fault: Fault, forgiving: bool) -> (Arc<Engine>, Ledger, Duration) {
    let engine = Arc::new(Engine::default());
    let start = if forgiving { Writers::start_forgiving } else { Writers::start };
    let writers = start(engine.clone(), 3, &mut random());
    writers.acknowledge(300).await;
    assert!(writers.acknowledged() >= 300);
    engine.suffers(fault);
    if fault == Fault::None || forgiving {
        writers.acknowledge(300).await;
    } else {
        // With paused time, until every writer has stopped to write or waits to try again.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let began = Instant::now();
    let ledger = writers.stop().await;
    (engine, ledger, began.elapsed())
}

#[tokio::test]
async fn a_store_that_keeps_what_it_acknowledged_passes() {
    let store = Arc::new(MemoryStore::new());
    let writers = Writers::start(store.clone(), 3, &mut random());
    writers.acknowledge(300).await;
    assert!(writers.longest_gap() > Duration::ZERO);
    let ledger = writers.stop().await;
    assert!(!ledger.is_empty());
    assert_eq!(ledger.known(), ledger.len(), "no write failed");
    assert_eq!(ledger.iter().count(), ledger.len());
    check(&*store, &ledger).await;
    assert_eq!(lost(&*store, &ledger).await, 0);
}

#[tokio::test]
async fn what_is_lost_is_counted() {
    let (engine, ledger, _) = written(Fault::None, false).await;
    let pairs: Vec<_> = ledger.iter().filter(|(_, state)| *state == Some(true)).take(2).collect();
    for (pair, _) in &pairs {
        engine.store.cancel(&pair.user, &pair.event).await.unwrap();
    }
    assert!(!pairs.is_empty());
    assert_eq!(lost(&*engine, &ledger).await, pairs.len());
}

#[tokio::test]
#[should_panic(expected = "the last acknowledged write of")]
async fn a_store_that_drops_an_acknowledged_write_fails() {
    let (engine, ledger, _) = written(Fault::DropsCancels, true).await;
    check(&*engine, &ledger).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "the outcome of")]
async fn writers_who_do_not_forgive_notice_a_dropped_write() {
    written(Fault::DropsCancels, false).await;
}

#[tokio::test]
#[should_panic(expected = "scan")]
async fn somebody_who_never_wrote_is_noticed() {
    let (engine, ledger, _) = written(Fault::None, false).await;
    let (user, event) = (UserId::new("nobody").unwrap(), EventId::new("elsewhere").unwrap());
    engine.store.rsvp(&user, &event).await.unwrap();
    check(&*engine, &ledger).await;
}

#[tokio::test]
#[should_panic(expected = "count of")]
async fn a_wrong_count_is_noticed() {
    let (engine, ledger, _) = written(Fault::None, false).await;
    engine.suffers(Fault::CountsOneTooMany);
    check(&*engine, &ledger).await;
}

#[tokio::test]
#[should_panic(expected = "events of")]
async fn directions_that_disagree_are_noticed() {
    let (engine, ledger, _) = written(Fault::None, false).await;
    engine.suffers(Fault::ListsNoEvents);
    check(&*engine, &ledger).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_down_does_not_keep_its_writers() {
    for fault in [Fault::IsGone, Fault::IsSilentBeforeSending, Fault::IsSilent] {
        let (engine, ledger, took) = written(fault, false).await;
        // Only a call that may still be at work is worth waiting for.
        let expected = if fault == Fault::IsSilent { 60..=61 } else { 0..=1 };
        assert!(expected.contains(&took.as_secs()), "{fault:?}: {took:?}");
        let unsure = fault != Fault::IsSilentBeforeSending;
        assert_eq!(ledger.known() < ledger.len(), unsure, "{fault:?}");
        engine.suffers(Fault::None);
        check(&*engine, &ledger).await;
    }
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "a write was not over after 60s")]
async fn a_call_that_is_never_over_fails() {
    written(Fault::Hangs, false).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "1 writes were not acknowledged within 60s")]
async fn waiting_for_an_acknowledgement_that_does_not_come_fails() {
    let engine = Arc::new(Engine::default());
    engine.suffers(Fault::IsGone);
    Writers::start(engine, 1, &mut random()).acknowledge(1).await;
}
