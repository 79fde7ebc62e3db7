//! The ledger's check passes on a store that keeps what it acknowledged, and on no other.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rsvp_core::{
    Action, BatchReceipt, Count, Deadline, Effect, Error, EventId, Operation, Outcome, Page,
    PageRequest, ReadOptions, Result, Rsvp, RsvpStore, RsvpStoreExt, UserId, Write, WriteOptions,
    async_trait,
};
use rsvp_memory::MemoryStore;
use rsvp_testkit::ledger::{Ledger, Writers, check, lost};
use rsvp_testkit::{Stub, Stubbed};
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
    /// No write is sent, and a write might be for 9 s.
    MayStillBeAtWork,
    /// Half of the entries of a batch fail, and the others hold.
    RefusesEverySecondPair,
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

    /// Writes to events of even numbers hold, and the others fail.
    async fn refuse_some(&self, writes: &[Write], options: &WriteOptions) -> Result<BatchReceipt> {
        let holds = |write: &Write| write.rsvp.event.as_str().as_bytes()[0].is_multiple_of(2);
        let held: Vec<Write> = writes.iter().filter(|write| holds(write)).cloned().collect();
        let receipt = self.store.write_batch(&held, options).await?;
        let mut answers = receipt.results.into_iter();
        let result = |write: &Write| match holds(write) {
            true => answers.next().unwrap(),
            false => Err(Error::overloaded(Operation::Write)),
        };
        Ok(BatchReceipt::new(writes.iter().map(result).collect(), receipt.token))
    }
}

#[async_trait]
impl Stub for Engine {
    fn inner(&self) -> &dyn RsvpStore {
        &self.store
    }

    async fn write_batch(&self, writes: &[Write], options: &WriteOptions) -> Result<BatchReceipt> {
        let write = Operation::Write;
        let after = Duration::from_secs(1);
        if self.is(Fault::Hangs) {
            std::future::pending::<()>().await;
        }
        if self.is(Fault::IsSilent) {
            let applied: Vec<Write> = writes.iter().step_by(2).cloned().collect();
            self.store.write_batch(&applied, options).await?;
            return Err(Error::timed_out(write, after, Effect::Unknown));
        }
        if self.is(Fault::IsSilentBeforeSending) {
            return Err(Error::timed_out(write, after, Effect::NotApplied));
        }
        if self.is(Fault::MayStillBeAtWork) {
            let until = Deadline::after(Duration::from_secs(9));
            return Err(Error::timed_out(write, after, Effect::Pending(until)));
        }
        if self.is(Fault::IsGone) {
            return Err(Error::unavailable(write, Effect::Unknown, None));
        }
        if self.is(Fault::RefusesEverySecondPair) {
            return self.refuse_some(writes, options).await;
        }
        if self.is(Fault::DropsCancels) {
            let kept: Vec<Write> =
                writes.iter().filter(|write| write.action == Action::Rsvp).cloned().collect();
            let token = self.store.write_batch(&kept, options).await?.token;
            let outcomes = vec![Outcome::Applied; writes.len()];
            return Ok(BatchReceipt::acknowledged(outcomes, token));
        }
        self.store.write_batch(writes, options).await
    }

    async fn rsvp_count_batch(
        &self,
        events: &[EventId],
        options: &ReadOptions,
    ) -> Result<Vec<Result<Count>>> {
        let mut counts = self.store.rsvp_count_batch(events, options).await?;
        if self.is(Fault::CountsOneTooMany) {
            counts.iter_mut().flatten().for_each(|count| count.value += 1);
        }
        Ok(counts)
    }

    async fn events_of_page(&self, user: &UserId, request: &PageRequest) -> Result<Page<EventId>> {
        let page = self.store.events_of_page(user, request).await?;
        let hides = self.is(Fault::ListsNoEvents);
        Ok(if hides { Page::new(Vec::new(), page.next) } else { page })
    }
}

fn random() -> StdRng {
    let seed = rsvp_testkit::seed();
    println!("{}={seed}", rsvp_testkit::SEED_VARIABLE);
    StdRng::seed_from_u64(seed)
}

/// Writers write to an engine, then to one with the fault. Their stop is timed.
async fn written(fault: Fault, forgiving: bool) -> (Arc<Stubbed<Engine>>, Ledger, Duration) {
    let engine = Arc::new(Stubbed(Engine::default()));
    let start = if forgiving { Writers::start_forgiving } else { Writers::start };
    let writers = start(engine.clone(), 3, &mut random());
    writers.acknowledge(300).await;
    assert!(writers.acknowledged() >= 300);
    engine.0.suffers(fault);
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
async fn entries_that_fail_are_repeated_and_the_others_are_remembered() {
    let (engine, ledger, _) = written(Fault::RefusesEverySecondPair, true).await;
    let refused = |pair: &Rsvp| pair.event.as_str().as_bytes()[0] % 2 == 1;
    assert!(ledger.iter().any(|(pair, _)| !refused(pair)));
    assert_eq!(ledger.known(), ledger.len(), "a refused write has no effect");
    check(&*engine, &ledger).await;
}

#[tokio::test]
async fn what_is_lost_is_counted() {
    let (engine, ledger, _) = written(Fault::None, false).await;
    let pairs: Vec<_> = ledger.iter().filter(|(_, state)| *state == Some(true)).take(2).collect();
    for (pair, _) in &pairs {
        engine.0.store.cancel(&pair.user, &pair.event).await.unwrap();
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
    engine.0.store.rsvp(&user, &event).await.unwrap();
    check(&*engine, &ledger).await;
}

#[tokio::test]
#[should_panic(expected = "count of")]
async fn a_wrong_count_is_noticed() {
    let (engine, ledger, _) = written(Fault::None, false).await;
    engine.0.suffers(Fault::CountsOneTooMany);
    check(&*engine, &ledger).await;
}

#[tokio::test]
#[should_panic(expected = "events of")]
async fn directions_that_disagree_are_noticed() {
    let (engine, ledger, _) = written(Fault::None, false).await;
    engine.0.suffers(Fault::ListsNoEvents);
    check(&*engine, &ledger).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_down_does_not_keep_its_writers() {
    for fault in
        [Fault::IsGone, Fault::IsSilentBeforeSending, Fault::IsSilent, Fault::MayStillBeAtWork]
    {
        let (engine, ledger, took) = written(fault, false).await;
        // Only a call that may still be at work is worth waiting for.
        let expected = if fault == Fault::MayStillBeAtWork { 8..=9 } else { 0..=1 };
        assert!(expected.contains(&took.as_secs()), "{fault:?}: {took:?}");
        let unsure = fault != Fault::IsSilentBeforeSending;
        assert_eq!(ledger.known() < ledger.len(), unsure, "{fault:?}");
        engine.0.suffers(Fault::None);
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
    let engine = Arc::new(Stubbed(Engine::default()));
    engine.0.suffers(Fault::IsGone);
    Writers::start(engine, 1, &mut random()).acknowledge(1).await;
}
