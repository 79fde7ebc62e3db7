//! The store that fails on purpose does so as it was told.

use std::time::Duration;

use futures_util::FutureExt;
use rsvp_core::{Effect, Error, EventId, RsvpStore, RsvpStoreExt, UserId};
use rsvp_memory::MemoryStore;
use rsvp_testkit::{FaultStore, Faults};
use tokio::time::Instant;

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

rsvp_testkit::conformance!(FaultStore::new(MemoryStore::new(), 1));
