//! The store that fails on purpose does so as it was told.

use std::time::Duration;

use futures_util::{FutureExt, TryStreamExt};
use rsvp_core::{
    Deadline, Effect, Error, EventId, Operation, Outcome, ReadOptions, Result, RsvpStore,
    RsvpStoreExt, UserId, Write, WriteOptions,
};
use rsvp_memory::MemoryStore;
use rsvp_testkit::{FaultStore, Faults, Subject};
use tokio::time::{Instant, sleep};

fn pair(n: u32) -> (UserId, EventId) {
    (UserId::from(n), EventId::from(1))
}

/// Which of 1,000 writes failed, with their effect.
async fn failures(faults: Faults, seed: u64) -> (Vec<(u32, Effect)>, u64) {
    let store = FaultStore::new(MemoryStore::new(), seed).with_writes(faults);
    let mut failures = Vec::new();
    for n in 0..1000 {
        let (user, event) = pair(n);
        if let Err(error) = store.rsvp(&user, &event).await {
            assert!(error.is_retryable(), "{error}");
            let held = store.get_ref().table().has_rsvped(&user, &event);
            assert_eq!(held, error.effect() == Effect::Unknown, "{error}");
            failures.push((n, error.effect()));
        }
    }
    (failures, store.faults())
}

#[tokio::test]
async fn a_call_fails_before_or_after_its_effect_as_often_as_it_should() {
    let seed = rsvp_testkit::seed();
    println!("{}={seed}", rsvp_testkit::SEED_VARIABLE);
    let (failures, faults) =
        failures(Faults { before: 0.3, after: 0.2, ..Faults::default() }, seed).await;
    let lost = failures.iter().filter(|(_, effect)| *effect == Effect::Unknown).count();
    // Seven standard deviations to either side.
    assert!((200..400).contains(&(failures.len() - lost)), "{failures:?}");
    assert!((110..290).contains(&lost), "{failures:?}");
    assert_eq!(faults, failures.len() as u64);
}

#[tokio::test]
async fn the_same_seed_meets_the_same_faults() {
    let faults = Faults { before: 0.1, after: 0.1, ..Faults::default() };
    let (first, again) = (failures(faults, 5).await, failures(faults, 5).await);
    assert_eq!(first, again);
    assert_ne!(first, failures(faults, 6).await);
}

#[tokio::test(start_paused = true)]
async fn a_delayed_call_is_answered_later_and_a_hung_one_never() {
    let longest_delay = Duration::from_secs(1);
    let faults = Faults { delay: 1.0, longest_delay, ..Faults::default() };
    let late = FaultStore::new(MemoryStore::new(), 1).with_reads(faults);
    let (user, event) = pair(1);
    let began = Instant::now();
    assert!(!late.has_rsvped(&user, &event).await.unwrap());
    assert!(!began.elapsed().is_zero() && began.elapsed() <= longest_delay);

    let hangs = Faults { hang: 1.0, ..Faults::default() };
    let hung = FaultStore::new(MemoryStore::new(), 1).with_writes(hangs);
    let write = tokio::time::timeout(Duration::from_secs(3600), hung.rsvp(&user, &event)).await;
    assert!(write.is_err());
    assert!(!hung.has_rsvped(&user, &event).await.unwrap(), "reads have faults of their own");
    hung.set_enabled(false);
    assert!(hung.rsvp(&user, &event).now_or_never().is_some());
}

#[tokio::test]
async fn a_store_that_is_down_refuses_everything() {
    let store = FaultStore::new(MemoryStore::new(), 1);
    let (user, event) = pair(1);
    store.set_down(true);
    let refused = store.rsvp(&user, &event).await.unwrap_err();
    assert!(matches!(refused, Error::Unavailable { .. }), "{refused}");
    assert_eq!(refused.effect(), Effect::NotApplied);
    assert!(store.ready().await.is_err() && store.rsvp_count(&event).await.is_err());
    store.set_down(false);
    store.rsvp(&user, &event).await.unwrap();
}

#[tokio::test]
async fn some_entries_of_a_batch_fail_and_the_others_hold() {
    let faults = Faults { partial: 1.0, ..Faults::default() };
    let store = FaultStore::new(MemoryStore::new(), 7).with_writes(faults).with_reads(faults);
    // Every pair twice.
    let batch: Vec<_> = (0..400).map(|n| pair(n / 2)).map(|(u, e)| Write::rsvp(u, e)).collect();
    let receipt = store.write_batch(&batch, &WriteOptions::default()).await.unwrap();
    assert_eq!(receipt.results.len(), batch.len());
    let mut effects = [0, 0, 0];
    for (writes, results) in batch.chunks(2).zip(receipt.results.chunks(2)) {
        let held = store.get_ref().table().has_rsvped(&writes[0].rsvp.user, &writes[0].rsvp.event);
        let effect = |result: &Result<_>| result.as_ref().map_err(Error::effect).err();
        let effect = [effect(&results[0]), effect(&results[1])];
        assert_eq!(effect[0], effect[1], "the writes of a pair meet the same");
        match effect[0] {
            None => effects[0] += u32::from(held),
            Some(Effect::NotApplied) => effects[1] += u32::from(!held),
            Some(effect) => effects[2] += u32::from(effect == Effect::Unknown && held),
        }
    }
    assert_eq!(effects.iter().sum::<u32>(), 200, "held as they said: {effects:?}");
    assert!(effects.iter().all(|count| *count > 20), "{effects:?}");

    let pairs: Vec<_> = batch.into_iter().map(|write| write.rsvp).collect();
    let answers = store.has_rsvped_batch(&pairs, &ReadOptions::strong()).await.unwrap();
    let failed = answers.iter().filter(|answer| answer.is_err()).count();
    assert!((100..300).contains(&failed), "{failed} of 400");
    for (pair, answer) in pairs.iter().zip(answers) {
        let held = store.get_ref().table().has_rsvped(&pair.user, &pair.event);
        assert!(answer.is_err() || answer.is_ok_and(|answer| answer == held));
    }
    assert!(store.attendees(&pairs[0].event).try_collect::<Vec<_>>().await.is_ok());
    assert_eq!(store.faults(), 2, "a list has no entries that could fail");
}

#[tokio::test(start_paused = true)]
async fn a_late_write_is_pending_and_fences_its_pair_until_it_is_settled() {
    let longest_pending = Duration::from_secs(10);
    let faults = Faults { late: 1.0, longest_pending, ..Faults::default() };
    let store = FaultStore::new(MemoryStore::new(), 3).with_writes(faults);
    let (user, event) = pair(1);
    let error = store.rsvp(&user, &event).await.unwrap_err();
    let until = error.retry_at().expect("a pending effect");
    assert!(until.remaining() <= longest_pending, "{until:?}");
    assert!(!store.has_rsvped(&user, &event).await.unwrap(), "not yet");

    // What could be undone is refused, and everything else goes on.
    store.set_enabled(false);
    let refused = [
        store.cancel(&user, &event).await.unwrap_err(),
        store.remove_event(&event).await.unwrap_err(),
        store.remove_user(&user).await.unwrap_err(),
    ];
    for error in refused {
        assert!(matches!(error, Error::Unavailable { .. }), "{error}");
        assert_eq!(error.effect(), Effect::NotApplied);
    }
    store.rsvp(&pair(2).0, &event).await.unwrap();

    let mut landed = None;
    while !until.has_passed() {
        if store.has_rsvped(&user, &event).await.unwrap() {
            landed.get_or_insert(until.remaining());
        }
        sleep(Duration::from_millis(100)).await;
    }
    assert!(landed.is_some_and(|before| before > Duration::from_secs(1)), "{landed:?}");
    assert_eq!(store.cancel(&user, &event).await.unwrap().outcome, Outcome::Applied);
    assert!(!store.has_rsvped(&user, &event).await.unwrap(), "it stays cancelled");
    assert_eq!(store.faults(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_late_removal_fences_the_pairs_of_its_event() {
    let longest_pending = Duration::from_secs(10);
    let faults = Faults { late: 1.0, longest_pending, ..Faults::default() };
    let store = FaultStore::new(MemoryStore::new(), 3).with_writes(faults);
    let ((user, event), other) = (pair(1), EventId::from(2));
    store.get_ref().table().rsvp(&user, &event);
    let until = store.remove_event(&event).await.unwrap_err().retry_at().unwrap();
    store.set_enabled(false);
    assert_eq!(store.rsvp(&user, &event).await.unwrap_err().effect(), Effect::NotApplied);
    store.rsvp(&user, &other).await.unwrap();
    sleep(until.remaining()).await;
    assert_eq!(store.rsvp(&user, &event).await.unwrap().outcome, Outcome::Applied);
}

#[tokio::test]
async fn a_host_chooses_the_error_of_the_next_call() {
    let store = FaultStore::new(MemoryStore::new(), 1);
    let (user, event) = pair(1);
    let until = Deadline::after(Duration::from_secs(5));
    let write = Operation::Write;
    store.fail_next(write, Error::timed_out(write, Duration::ZERO, Effect::Pending(until)));
    store.fail_next(write, Error::closed(write));
    store.fail_next(
        Operation::Close,
        Error::timed_out(Operation::Close, Duration::ZERO, Effect::NotApplied),
    );
    assert!(!store.has_rsvped(&user, &event).await.unwrap(), "another operation");
    assert_eq!(store.rsvp(&user, &event).await.unwrap_err().retry_at(), Some(until));
    assert!(matches!(store.rsvp(&user, &event).await, Err(Error::Closed { .. })));
    assert!(!store.has_rsvped(&user, &event).await.unwrap(), "neither was done");
    assert_eq!(store.rsvp(&user, &event).await.unwrap().outcome, Outcome::Applied);
    assert!(store.close().await.is_err() && store.close().await.is_ok());
    assert_eq!(store.faults(), 3);
}

#[tokio::test]
async fn a_refused_event_fails_its_own_entries() {
    let store = FaultStore::new(MemoryStore::new(), 1);
    let (user, event) = pair(1);
    store.refuse_event(event.clone());
    let batch = [Write::rsvp(user.clone(), event), Write::rsvp(user, EventId::from(2))];
    let receipt = store.write_batch(&batch, &WriteOptions::default()).await.unwrap();
    let error = receipt.results[0].as_ref().unwrap_err();
    assert!(!error.is_retryable() && error.effect() == Effect::NotApplied, "{error}");
    assert_eq!(receipt.results[1].as_ref().unwrap().outcome, Outcome::Applied);
}

rsvp_testkit::conformance!(Subject::layered(MemoryStore::new(), |store| FaultStore::new(store, 1)));
