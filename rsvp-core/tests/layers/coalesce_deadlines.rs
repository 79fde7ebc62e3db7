//! Calls with deadlines in a coalesced store, and entries that fail.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use rsvp_core::layers::{CoalesceConfig, LayerExt, RetryConfig};
use rsvp_core::{
    Deadline, Effect, Error, EventId, LabelName, Operation, Outcome, PageRequest, ReadOptions,
    Receipt, Result, RsvpStore, RsvpStoreExt, Write, WriteOptions,
};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};

use crate::coalesce::{Coalesced, coalesced, narrow, settle, spawn_write};
use crate::probe::{Probe, Reaction};
use crate::{ends, event, user, write_all};

/// How long a caller waits for a batch that ends with its deadline.
const GRACE: Duration = Duration::from_millis(250);

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn fair() -> EventId {
    event(1_u64)
}

fn rsvp(store: &Coalesced, n: u64, patience: Option<Duration>) -> JoinHandle<Result<Receipt>> {
    let store = store.clone();
    let mut options = WriteOptions::default();
    options.deadline = patience.map(Deadline::after);
    tokio::spawn(async move { store.rsvp_with(&user(n), &fair(), options).await })
}

fn ask(store: &Coalesced, n: u64, patience: Option<Duration>) -> JoinHandle<Result<bool>> {
    let store = store.clone();
    let mut options = ReadOptions::strong();
    options.deadline = patience.map(Deadline::after);
    tokio::spawn(async move { store.has_rsvped_with(&user(n), &fair(), options).await })
}

/// A coalesced store with one write and one read in flight.
async fn busy() -> (Coalesced, Arc<Probe>, JoinHandle<Result<Receipt>>, JoinHandle<Result<bool>>) {
    let (store, probe) = coalesced(narrow());
    probe.shut();
    let (writing, reading) = (rsvp(&store, 100, None), ask(&store, 100, None));
    settle().await;
    assert_eq!(probe.batches(), [1, 1]);
    (store, probe, writing, reading)
}

#[tokio::test(start_paused = true)]
async fn a_queued_call_whose_deadline_has_passed_is_not_sent() {
    let (store, probe, writing, reading) = busy().await;
    let began = Instant::now();
    let (write, read) = (rsvp(&store, 1, Some(ms(50))), ask(&store, 1, Some(ms(50))));
    let errors = [ends(write).await.unwrap().unwrap_err(), ends(read).await.unwrap().unwrap_err()];
    assert_eq!(began.elapsed(), ms(50));
    for error in errors {
        assert!(matches!(error, Error::TimedOut { after, .. } if after == ms(50)), "{error}");
        assert_eq!(error.effect(), Effect::NotApplied, "{error}");
    }
    probe.open();
    writing.await.unwrap().unwrap();
    reading.await.unwrap().unwrap();
    settle().await;
    assert_eq!(probe.batches(), [0; 0], "nobody waits for them");
    assert!(!probe.store.table().has_rsvped(&user(1_u64), &fair()));
    assert_eq!(store.pending(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_has_passed_before_the_call_refuses_it() {
    let (store, probe) = coalesced(narrow());
    let passed = Deadline::at(Instant::now());
    sleep(ms(5)).await;
    let write = WriteOptions::default().with_deadline(passed);
    let error = store.rsvp_with(&user(1_u64), &fair(), write).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), ("timed_out", Effect::NotApplied), "{error}");
    let read = ReadOptions::strong().with_deadline(passed);
    store.rsvp_count_with(&fair(), read).await.unwrap_err();
    settle().await;
    assert_eq!((probe.batches(), store.pending()), (vec![], 0));
}

/// The others of the batch wait for longer.
#[tokio::test(start_paused = true)]
async fn a_caller_who_gives_up_in_flight_is_told_until_when_its_write_may_come() {
    let (store, probe, writing, reading) = busy().await;
    let began = Instant::now();
    let impatient = (rsvp(&store, 1, Some(ms(100))), ask(&store, 1, Some(ms(100))));
    let patient = (rsvp(&store, 2, Some(ms(5000))), ask(&store, 2, Some(ms(5000))));
    settle().await;
    probe.let_through(2);
    writing.await.unwrap().unwrap();
    reading.await.unwrap().unwrap();

    let error = ends(impatient.0).await.unwrap().unwrap_err();
    assert_eq!(began.elapsed(), ms(100));
    assert!(matches!(error, Error::TimedOut { after, .. } if after == ms(100)), "{error}");
    let over = began + ms(5000);
    let until = error.retry_at().expect("a pending effect").instant();
    assert!((over..=over + ms(2000)).contains(&until), "{:?}", until - began);
    let error = impatient.1.await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.effect()), ("timed_out", Effect::NotApplied), "{error}");

    probe.open();
    assert!(patient.0.await.unwrap().unwrap().outcome.is_applied(), "it is not a bit impatient");
    patient.1.await.unwrap().unwrap();
    assert!(probe.store.table().has_rsvped(&user(1_u64), &fair()), "it has come after all");
    let cancelled = store.cancel(&user(1_u64), &fair()).await.unwrap();
    assert!(cancelled.outcome.is_applied(), "and before every later write of its pair");
    assert_eq!(store.pending(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_caller_whose_batch_ends_with_its_deadline_is_told_what_it_has_come_to() {
    let (store, probe) = coalesced(CoalesceConfig::default());
    probe.shut_until_the_deadline();
    let (write, read) = (rsvp(&store, 1, Some(ms(100))), ask(&store, 1, Some(ms(100))));
    let began = Instant::now();
    let error = ends(write).await.unwrap().unwrap_err();
    assert_eq!((error.effect(), began.elapsed()), (Effect::Unknown, ms(100)), "{error}");
    read.await.unwrap().unwrap_err();
    assert_eq!(began.elapsed(), ms(100));

    // A store that does not answer by then will not be waited for.
    let (store, probe) = coalesced(CoalesceConfig::default());
    probe.shut();
    let began = Instant::now();
    let error = ends(rsvp(&store, 1, Some(ms(100)))).await.unwrap().unwrap_err();
    assert!(!error.effect().is_settled(), "{error}");
    assert_eq!(began.elapsed(), ms(100) + GRACE);
}

#[tokio::test(start_paused = true)]
async fn a_batch_has_the_latest_deadline_of_its_calls() {
    for (patience, latest) in [
        ([Some(1000), Some(5000), Some(3000)], Some(5000)),
        ([Some(1000), Some(60_000), Some(40_000)], Some(60_000)),
        // Nobody may be kept from waiting for longer than the others.
        ([Some(1000), None, Some(3000)], None),
    ] {
        let (store, probe, writing, reading) = busy().await;
        let began = Instant::now();
        let calls: Vec<_> = (0..)
            .zip(patience)
            .map(|(n, patience)| {
                let patience = patience.map(ms);
                (rsvp(&store, n, patience), ask(&store, n, patience))
            })
            .collect();
        settle().await;
        probe.open();
        writing.await.unwrap().unwrap();
        reading.await.unwrap().unwrap();
        for (write, read) in calls {
            write.await.unwrap().unwrap();
            read.await.unwrap().unwrap();
        }
        let sent = probe.asked();
        assert_eq!(sent.len(), 2);
        for asked in sent {
            let deadline = asked.deadline.expect("no batch is without").instant() - began;
            match latest {
                Some(latest) => assert_eq!(deadline, ms(latest), "{asked:?}"),
                None => assert!(deadline > ms(3000), "{asked:?}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn entries_that_fail_fail_alone() {
    let (store, probe, writing, reading) = busy().await;
    let corrupt = |operation| Error::corrupt(operation, "the engine refuses it");
    let single = rsvp(&store, 1, None);
    settle().await;
    let culprit = rsvp(&store, 2, None);
    settle().await;
    let pair = tokio::spawn({
        let store = store.clone();
        let writes = [3_u64, 4].map(|n| Write::rsvp(user(n), fair()));
        async move { store.write_batch(&writes, &WriteOptions::default()).await }
    });
    settle().await;
    probe.react([Reaction::FailEntries(vec![
        (1, corrupt(Operation::Write)),
        (3, Error::overloaded(Operation::Write)),
    ])]);
    probe.let_through(1);
    writing.await.unwrap().unwrap();
    settle().await;
    probe.open();
    assert!(single.await.unwrap().unwrap().outcome.is_applied());
    let error = culprit.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    let results = pair.await.unwrap().unwrap().results;
    assert!(results[0].as_ref().unwrap().outcome.is_applied());
    assert!(matches!(results[1], Err(Error::Overloaded { .. })), "{results:?}");
    reading.await.unwrap().unwrap();

    probe.react([Reaction::LoseEntries(vec![(1, corrupt(Operation::RsvpCount))])]);
    let events: Vec<_> = [0_u64, 1, 2, 1].map(event).into();
    let results = store.rsvp_count_batch(&events, &ReadOptions::strong()).await.unwrap();
    let failed: Vec<_> = results.iter().map(Result::is_err).collect();
    assert_eq!(failed, [false, true, false, true], "whoever asked for it");
}

#[tokio::test(start_paused = true)]
async fn receipts_say_repeated_through_a_coalescer() {
    let probe = Probe::new();
    let store = probe.clone().with_retry(RetryConfig::default()).unwrap();
    let store = store.with_coalescing(narrow()).unwrap();
    let lost = Error::unavailable(Operation::Write, Effect::Unknown, None);
    probe.react([Reaction::LoseEntries(vec![(1, lost)])]);
    let writes: Vec<_> = (0..3_u32).map(|n| Write::rsvp(user(n), fair())).collect();
    let receipt = store.write_batch(&writes, &WriteOptions::default()).await.unwrap();
    let repeated = receipt.results.into_iter().map(|result| result.unwrap().repeated);
    assert_eq!(repeated.collect::<Vec<_>>(), [false, true, false]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_drains_refuses_every_call_and_ends_what_is_queued() {
    let (store, probe, writing, reading) = busy().await;
    let queued = spawn_write(&store, Write::rsvp(user(1_u64), fair()));
    settle().await;
    let closing = tokio::spawn({
        let store = store.clone();
        async move { store.close().await }
    });
    settle().await;
    assert!(!closing.is_finished(), "calls are in flight");
    let (ann, fair, page) = (user(1_u64), fair(), PageRequest::default());
    let (name, label) = (LabelName::new("shard").unwrap(), "eu1".parse().unwrap());
    let (read, write) = (ReadOptions::strong(), WriteOptions::default());
    for refused in [
        ends(store.rsvp(&ann, &fair)).await.map(drop),
        ends(write_all(&store, &[2_u64, 3].map(|n| Write::rsvp(user(n), event(n)))))
            .await
            .map(drop),
        ends(store.has_rsvped(&ann, &fair)).await.map(drop),
        ends(store.rsvp_count(&fair)).await.map(drop),
        ends(store.attendees_page(&fair, &page)).await.map(drop),
        ends(store.events_of_page(&ann, &page)).await.map(drop),
        ends(store.scan_page(&page)).await.map(drop),
        ends(store.remove_event(&fair)).await.map(drop),
        ends(store.remove_user(&ann)).await.map(drop),
        ends(store.label(&name, &read)).await.map(drop),
        ends(store.replace_label(&name, None, &label, &write)).await.map(drop),
        ends(store.ready()).await,
    ] {
        let error = refused.unwrap_err();
        assert!(matches!(error, Error::Closed { .. }), "{error}");
    }
    probe.open();
    closing.await.unwrap().unwrap();
    writing.await.unwrap().unwrap();
    reading.await.unwrap().unwrap();
    assert_eq!(queued.await.unwrap().unwrap(), [Outcome::Applied]);
    ends(store.close()).await.expect("twice is fine");
    assert!(matches!(probe.ready().await, Err(Error::Closed { .. })), "so is the store inside");
}

/// 50 callers with 300 ms each come within a few milliseconds, in one batch.
/// The store answers at the deadline of the batch, which is a little later than most of theirs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_of_one_batch_learn_its_settled_effect() {
    let probe = Probe::new();
    let config = CoalesceConfig::default().with_lanes(1);
    let store = Arc::new(probe.clone().with_coalescing(config).unwrap());
    probe.shut_until_the_deadline();
    let first = {
        let store = store.clone();
        tokio::spawn(async move { store.rsvp(&user(0_u64), &event(1_u64)).await })
    };
    sleep(Duration::from_millis(5)).await;
    let mut calls = JoinSet::new();
    for n in 1..=50_u64 {
        let store = store.clone();
        calls.spawn(async move {
            let options = WriteOptions::default().with_timeout(Duration::from_millis(300));
            store.rsvp_with(&user(n), &event(1_u64), options).await.unwrap_err().effect()
        });
        if n % 10 == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    }
    probe.let_through(1);
    first.await.unwrap().unwrap();
    let pending = calls.join_all().await.into_iter().filter(|effect| !effect.is_settled());
    assert_eq!(pending.count(), 0, "of 50 callers");
}

#[test]
fn a_call_with_a_deadline_and_without_a_runtime_is_refused() {
    let store = Probe::new().with_coalescing(CoalesceConfig::default()).unwrap();
    let (ann, fair) = (user(1_u64), event(1_u64));
    let write = WriteOptions::default().with_timeout(Duration::from_secs(1));
    let refused = store.rsvp_with(&ann, &fair, write).now_or_never().unwrap().unwrap_err();
    assert!(matches!(refused, Error::Backend { .. }), "{refused:?}");
    let read = ReadOptions::strong().with_timeout(Duration::from_secs(1));
    let refused = store.has_rsvped_with(&ann, &fair, read).now_or_never().unwrap().unwrap_err();
    assert!(matches!(refused, Error::Backend { .. }), "{refused:?}");
}
