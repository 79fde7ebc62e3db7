//! What is worth it is tried again, within bounds.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rsvp_core::layers::{LayerExt, RetryConfig, RetryStore};
use rsvp_core::{Effect, Error, Operation, Outcome, RsvpStore, RsvpStoreExt, Write};
use rsvp_memory::MemoryStore;
use rsvp_testkit::{FaultStore, Faults, Model};
use tokio::time::Instant;

use crate::probe::{Probe, Reaction};
use crate::{event, user, write_all};

pub(crate) fn unavailable(effect: Effect) -> Error {
    Error::unavailable(Operation::Write, effect, None)
}

pub(crate) fn retried(config: RetryConfig) -> (RetryStore<Arc<Probe>>, Arc<Probe>) {
    let probe = Probe::new();
    (probe.clone().with_retry(config).unwrap(), probe)
}

async fn rsvp(store: &impl RsvpStore) -> Result<Outcome, Error> {
    store.rsvp(&user(1_u64), &event(1_u64)).await.map(|receipt| receipt.outcome)
}

#[tokio::test(start_paused = true)]
async fn what_can_succeed_is_tried_until_it_does() {
    let (store, probe) = retried(RetryConfig::default());
    probe.react([
        Reaction::Fail(Error::overloaded(Operation::Write)),
        Reaction::Fail(unavailable(Effect::NotApplied)),
    ]);
    assert_eq!(rsvp(&store).await.unwrap(), Outcome::Applied);
    assert_eq!(probe.asked().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_worth_repeating_is_tried_once() {
    let (store, probe) = retried(RetryConfig::default());
    let driver = std::io::Error::other("no such table");
    for error in [
        Error::corrupt(Operation::Write, "something"),
        Error::backend(Operation::Write, Effect::NotApplied, false, driver),
    ] {
        probe.react([Reaction::Fail(error)]);
        assert!(!rsvp(&store).await.unwrap_err().is_retryable());
        assert_eq!(probe.asked().len(), 1);
    }
    probe.react([Reaction::Fail(Error::overloaded(Operation::Ready))]);
    assert!(store.ready().await.is_err(), "readiness is that of now");
    assert_eq!(probe.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn tries_and_time_are_bounded() {
    let config = RetryConfig::default().with_max_attempts(4);
    let (store, probe) = retried(config);
    let fails = || (0..100).map(|_| Reaction::Fail(unavailable(Effect::NotApplied)));
    probe.react(fails());
    let began = Instant::now();
    assert!(rsvp(&store).await.is_err());
    assert_eq!(probe.asked().len(), 4);
    // 10, 20 and 40 ms, each with up to as much again.
    assert!((70..=145).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());

    let budget = Duration::from_millis(300);
    let config = RetryConfig::default().with_max_attempts(100).with_deadline(budget);
    let (store, probe) = retried(config);
    probe.react(fails());
    let began = Instant::now();
    assert!(rsvp(&store).await.is_err());
    assert!(began.elapsed() <= budget, "{:?}", began.elapsed());
    assert!(probe.asked().len() > 3);
}

#[tokio::test(start_paused = true)]
async fn pauses_differ() {
    let mut pauses = BTreeSet::new();
    for _ in 0..20 {
        let (store, probe) = retried(RetryConfig::default());
        probe.react([Reaction::Fail(unavailable(Effect::NotApplied))]);
        let began = Instant::now();
        rsvp(&store).await.unwrap();
        pauses.insert(began.elapsed());
    }
    // Tokio's clock goes in milliseconds, of which there are eleven.
    assert!(pauses.len() >= 4, "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn an_effect_that_was_unknown_once_stays_so() {
    let (store, probe) = retried(RetryConfig::default().with_max_attempts(2));
    let refused = || Reaction::Fail(Error::overloaded(Operation::Write));
    probe.react([Reaction::Lose(unavailable(Effect::Unknown)), refused()]);
    let error = rsvp(&store).await.unwrap_err();
    assert_eq!(error.effect(), Effect::Unknown, "{error}");
    probe.react([refused(), refused()]);
    assert_eq!(rsvp(&store).await.unwrap_err().effect(), Effect::NotApplied);
}

#[tokio::test(start_paused = true)]
async fn writes_of_unknown_effect_can_be_left_to_the_caller() {
    let (store, probe) = retried(RetryConfig::default().with_unknown_writes(false));
    probe.react([Reaction::Lose(unavailable(Effect::Unknown))]);
    assert_eq!(rsvp(&store).await.unwrap_err().effect(), Effect::Unknown);
    assert_eq!(probe.asked().len(), 1);
    probe.react([Reaction::Fail(unavailable(Effect::NotApplied))]);
    rsvp(&store).await.unwrap();

    let (store, probe) = retried(RetryConfig::default());
    probe.react([Reaction::Lose(unavailable(Effect::Unknown))]);
    assert_eq!(rsvp(&store).await.unwrap(), Outcome::Unchanged, "the first try had applied it");
    assert_eq!(probe.asked().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_is_not_asked_much_more_often() {
    let faulty = Arc::new(FaultStore::new(MemoryStore::new(), 1));
    let store = faulty.clone().with_retry(RetryConfig::default().with_retry_budget(50)).unwrap();
    faulty.set_down(true);
    for _ in 0..1000 {
        assert!(rsvp(&store).await.is_err());
    }
    assert_eq!(faulty.faults(), 1050, "each call once, and the stock of repetitions");
    faulty.set_down(false);
    for _ in 0..100 {
        rsvp(&store).await.unwrap();
    }
    faulty.set_down(true);
    assert!(rsvp(&store).await.is_err());
    assert_eq!(
        faulty.faults(),
        1055,
        "a hundred successes bring back ten, and five tries need four"
    );
}

#[tokio::test(start_paused = true)]
async fn under_lost_answers_the_state_ends_right() {
    let seed = rsvp_testkit::seed();
    println!("{}={seed}", rsvp_testkit::SEED_VARIABLE);
    let mut random = StdRng::seed_from_u64(seed);
    let faults = Faults { before: 0.2, after: 0.2, ..Faults::default() };
    let faulty =
        Arc::new(FaultStore::new(MemoryStore::new(), seed).with_reads(faults).with_writes(faults));
    let config = RetryConfig::default().with_max_attempts(50).with_retry_budget(1_000_000);
    let store = faulty.clone().with_retry(config.with_deadline(Duration::from_secs(3600))).unwrap();
    let mut model = Model::new();
    for _ in 0..500 {
        let batch: Vec<_> = (0..random.random_range(1..8))
            .map(|_| {
                let (user, event) =
                    (user(random.random_range(0..9_u64)), event(random.random_range(0..4_u64)));
                if random.random() { Write::rsvp(user, event) } else { Write::cancel(user, event) }
            })
            .collect();
        model.write_batch(&batch);
        write_all(&store, &batch).await.unwrap();
    }
    model.assert_held_by(&store).await;
    assert!(faulty.faults() > 100);
}

#[test]
fn a_setting_out_of_range_is_refused() {
    let refused = |config| match Probe::new().with_retry(config) {
        Err(Error::InvalidInput { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    let config = RetryConfig::default();
    assert_eq!(refused(config.with_max_attempts(0)), "retry_attempts");
    assert_eq!(refused(config.with_max_attempts(101)), "retry_attempts");
    assert_eq!(refused(config.with_retry_budget(0)), "retry_budget");
    assert_eq!(refused(config.with_retry_budget(1_000_001)), "retry_budget");
    assert_eq!(refused(config.with_deadline(Duration::ZERO)), "retry");
}
