//! What of a batch is repeated, when, and what the receipts say of it.

use std::sync::Arc;
use std::time::Duration;

use rsvp_core::layers::{LayerExt, Layers, RetryConfig, Shard, ShardedStore, TimeoutConfig};
use rsvp_core::{
    Consistency, Deadline, Effect, Error, LabelName, Operation, Outcome, ReadOptions, Result, Rsvp,
    RsvpStore, RsvpStoreExt, Write, WriteOptions, Written,
};
use tokio::time::Instant;

use crate::probe::{Probe, Reaction};
use crate::retry::{retried, unavailable};
use crate::{counts, event, present, user, write_all};

/// The same error of each of these entries.
fn each(places: impl IntoIterator<Item = usize>, error: &Error) -> Vec<(usize, Error)> {
    places.into_iter().map(|at| (at, error.clone())).collect()
}

fn rsvps(count: u32) -> Vec<Write> {
    (0..count).map(|n| Write::rsvp(user(n), event(n))).collect()
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

async fn written(store: &dyn RsvpStore, writes: &[Write]) -> Vec<Result<Written>> {
    store.write_batch(writes, &WriteOptions::default()).await.unwrap().results
}

fn pending(time: Duration) -> Error {
    unavailable(Effect::Pending(Deadline::after(time)))
}

#[tokio::test(start_paused = true)]
async fn only_the_failed_entries_of_a_batch_are_repeated() {
    let (store, probe) = retried(RetryConfig::default());
    let refused = each([1, 3], &Error::overloaded(Operation::Write));
    probe.react([Reaction::FailEntries(refused)]);
    let once = Written::new(Outcome::Applied);
    for result in written(&store, &rsvps(5)).await {
        assert_eq!(result.unwrap(), once);
    }
    assert_eq!(probe.batches(), [5, 2]);

    let pairs: Vec<_> = (0..6_u32).map(|n| Rsvp::new(user(n), event(n / 2 * 2))).collect();
    let refused = each([1, 2], &Error::overloaded(Operation::HasRsvped));
    probe.react([Reaction::FailEntries(refused)]);
    let expected = [true, false, true, false, true, false];
    assert_eq!(present(&store, &pairs).await.unwrap(), expected);
    assert_eq!(probe.batches(), [6, 2]);

    let events: Vec<_> = (3..8_u32).map(event).collect();
    let lost = each([0, 4], &Error::unavailable(Operation::RsvpCount, Effect::NotApplied, None));
    probe.react([Reaction::LoseEntries(lost)]);
    let counted = counts(&store, &events, Consistency::Strong).await.unwrap();
    let values: Vec<_> = counted.iter().map(|count| count.value).collect();
    assert_eq!(values, [1, 1, 0, 0, 0]);
    assert_eq!(probe.batches(), [5, 2]);
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_fails_for_good_has_its_last_error_and_is_not_repeated() {
    let (store, probe) = retried(RetryConfig::default());
    let corrupt = Error::corrupt(Operation::Write, "a hole");
    probe.react([
        Reaction::FailEntries(each([0, 2], &Error::overloaded(Operation::Write))),
        // Of the two that are left the second.
        Reaction::FailEntries(each([1], &corrupt)),
    ]);
    let results = written(&store, &rsvps(4)).await;
    assert!(matches!(results[2], Err(Error::Corrupt { .. })), "{results:?}");
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 3, "{results:?}");
    assert_eq!(probe.batches(), [4, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_receipt_says_repeated_after_an_attempt_of_unknown_effect_and_not_after_a_refused_one() {
    let (store, probe) = retried(RetryConfig::default());
    let refused = || Reaction::Fail(unavailable(Effect::NotApplied));
    let lost = || Reaction::Lose(unavailable(Effect::Unknown));
    for (n, attempts, outcome, repeated) in [
        (0_u32, vec![], Outcome::Applied, false),
        (1, vec![refused()], Outcome::Applied, false),
        (2, vec![lost()], Outcome::Unchanged, true),
        (3, vec![lost(), refused()], Outcome::Unchanged, true),
        (4, vec![refused(), lost(), refused()], Outcome::Unchanged, true),
    ] {
        probe.react(attempts);
        let receipt = store.rsvp(&user(n), &event(1_u64)).await.unwrap();
        assert_eq!((receipt.outcome, receipt.repeated), (outcome, repeated), "write {n}");
    }
    let lost = || each([1, 2], &unavailable(Effect::Unknown));
    probe.react([
        Reaction::LoseEntries(lost()),
        Reaction::FailEntries(each([1], &unavailable(Effect::NotApplied))),
    ]);
    let writes: Vec<_> = (0..4_u32).map(|n| Write::rsvp(user(n), event(2_u64))).collect();
    let results: Vec<_> = written(&store, &writes).await.into_iter().map(Result::unwrap).collect();
    let once = Written::new(Outcome::Applied);
    let again = Written::new(Outcome::Unchanged).after_repetition();
    assert_eq!(results, [once, again, again, once]);
}

/// A step whose answer is lost has removed its RSVPs, and its repetition counts none of them.
#[tokio::test(start_paused = true)]
async fn a_removal_says_repeated_after_a_step_of_unknown_effect_and_not_after_a_refused_one() {
    for of_user in [false, true] {
        let (store, probe) = retried(RetryConfig::default());
        let operation = if of_user { Operation::RemoveUser } else { Operation::RemoveEvent };
        let refused = || Reaction::Fail(Error::overloaded(operation));
        let lost = || Reaction::Lose(Error::unavailable(operation, Effect::Unknown, None));
        for (attempts, expected) in [
            (vec![], (3, false)),
            (vec![refused()], (3, false)),
            (vec![lost()], (0, true)),
            (vec![refused(), lost(), refused()], (0, true)),
        ] {
            for n in 0..3_u32 {
                let other = if of_user { (1, n) } else { (n, 1) };
                store.rsvp(&user(other.0), &event(other.1)).await.unwrap();
            }
            probe.react(attempts);
            let removal = match of_user {
                true => store.remove_user(&user(1_u64)).await.unwrap(),
                false => store.remove_event(&event(1_u64)).await.unwrap(),
            };
            assert_eq!((removal.removed, removal.repeated), expected, "{operation}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_removal_over_steps_and_shards_says_repeated_if_one_of_them_was() {
    let probes = [Probe::new(), Probe::new()];
    let shards = ["eu1", "eu2"].into_iter().zip(&probes).map(|(name, probe)| {
        Shard::new(name, probe.clone().with_retry(RetryConfig::default()).unwrap())
    });
    let store = ShardedStore::new(shards, 2).unwrap();
    let fair = event(1_u64);
    // The default limit of a step is lower.
    let crowd: Vec<_> = (0..3_000_u32).map(|n| Write::rsvp(user(n), fair.clone())).collect();
    for [first, second] in [[false, false], [true, false], [false, true]] {
        write_all(&store, &crowd).await.unwrap();
        for (probe, fails) in probes.iter().zip([first, second]) {
            let lost = Error::unavailable(Operation::RemoveEvent, Effect::Unknown, None);
            probe.react(fails.then_some(Reaction::Lose(lost)));
        }
        let removal = store.remove_event(&fair).await.unwrap();
        assert_eq!(removal.repeated, first || second);
        assert_eq!(removal.removed < 3_000, removal.repeated, "{}", removal.removed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pending_effect_is_not_repeated_before_it_is_settled() {
    let (store, probe) = retried(RetryConfig::default());
    probe.react([Reaction::Lose(pending(ms(700)))]);
    let began = Instant::now();
    let receipt = store.rsvp(&user(1_u64), &event(1_u64)).await.unwrap();
    assert!((700..=702).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    assert!(receipt.repeated, "an effect that was pending may have come");

    probe.react([Reaction::FailEntries(each(0..3, &pending(ms(700))))]);
    let began = Instant::now();
    for result in written(&store, &rsvps(3)).await {
        result.unwrap();
    }
    assert!((700..=702).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
}

/// The pending ones are left to the caller.
#[tokio::test(start_paused = true)]
async fn answers_that_are_there_do_not_wait_for_pending_entries() {
    let (store, probe) = retried(RetryConfig::default());
    probe.react([Reaction::FailEntries(each([1], &pending(ms(700))))]);
    let began = Instant::now();
    let results = written(&store, &rsvps(3)).await;
    assert_eq!((began.elapsed(), probe.asked().len()), (ms(0), 1));
    assert!(results[0].is_ok() && results[2].is_ok(), "{results:?}");
    assert_eq!(results[1].as_ref().unwrap_err().retry_at().unwrap().instant(), began + ms(700));
}

#[tokio::test(start_paused = true)]
async fn an_effect_that_is_pending_beyond_the_deadline_is_left_to_the_caller() {
    let (store, probe) = retried(RetryConfig::default());
    let began = Instant::now();
    let error = pending(ms(2001));
    probe.react([Reaction::Fail(error.clone())]);
    let told = store.rsvp(&user(1_u64), &event(1_u64)).await.unwrap_err();
    assert_eq!((told.retry_at(), probe.asked().len()), (error.retry_at(), 1));
    assert_eq!(began.elapsed(), ms(0), "nobody waits for what will not be done");

    // The caller's own deadline is the earlier one.
    probe.react([Reaction::Fail(pending(ms(500)))]);
    let options = WriteOptions::default().with_timeout(ms(400));
    let told = store.rsvp_with(&user(1_u64), &event(1_u64), options).await.unwrap_err();
    assert!(!told.effect().is_settled() && began.elapsed() == ms(0), "{told}");
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_is_pending_for_long_holds_up_no_other() {
    let (store, probe) = retried(RetryConfig::default());
    let failed = vec![(0, pending(ms(60_000))), (2, Error::overloaded(Operation::Write))];
    probe.react([Reaction::FailEntries(failed)]);
    let began = Instant::now();
    let results = written(&store, &rsvps(3)).await;
    assert!(began.elapsed() < ms(100), "{:?}", began.elapsed());
    assert!(results[0].as_ref().is_err_and(|error| !error.effect().is_settled()), "{results:?}");
    assert!(results[1].is_ok() && results[2].is_ok(), "{results:?}");
    assert_eq!(probe.batches(), [3, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_pending_effect_that_is_settled_by_the_last_attempt_is_unknown() {
    let (store, probe) = retried(RetryConfig::default().with_max_attempts(2));
    let refused = Reaction::Fail(Error::overloaded(Operation::Write));
    probe.react([Reaction::Fail(pending(ms(100))), refused]);
    let error = store.rsvp(&user(1_u64), &event(1_u64)).await.unwrap_err();
    assert_eq!(error.effect(), Effect::Unknown, "{error}");
}

#[tokio::test(start_paused = true)]
async fn every_attempt_has_the_deadline_of_all() {
    let (store, probe) = retried(RetryConfig::default().with_deadline(ms(1500)));
    let refused = || (0..2).map(|_| Reaction::Fail(unavailable(Effect::NotApplied)));
    probe.react(refused());
    let all = Some(Deadline::after(ms(1500)));
    store.rsvp(&user(1_u64), &event(1_u64)).await.unwrap();
    assert_eq!(probe.deadlines(), [all, all, all]);
    probe.react(refused());
    let own = Deadline::after(ms(300));
    let options = WriteOptions::default().with_deadline(own);
    store.rsvp_with(&user(1_u64), &event(1_u64), options).await.unwrap();
    assert_eq!(probe.deadlines(), [Some(own); 3]);
}

/// With the layers of the README around a store that has frozen.
#[tokio::test(start_paused = true)]
async fn the_deadline_bounds_all_attempts_together_and_the_error_says_how_long_it_was() {
    for (layers, deaf, longest) in [
        ("timeout=1s&retry=2s", false, 2000),
        ("timeout=1s&retry=2s&coalesce=true", false, 2000),
        ("timeout=1s&retry=2s&coalesce=true&count_cache=5s", false, 2000),
        // A store that does not know of deadlines is dropped.
        ("timeout=1s&retry=2s&coalesce=true", true, 2250),
    ] {
        let probe = Probe::new();
        let store = Layers::from_query(layers).unwrap().around(probe.clone()).unwrap();
        if deaf {
            probe.shut()
        } else {
            probe.shut_until_the_deadline()
        }
        let (ann, fair) = (user(1_u64), event(1_u64));
        for call in 0..3 {
            let began = Instant::now();
            let error = match call {
                0 => store.rsvp(&ann, &fair).await.unwrap_err(),
                1 => store.has_rsvped(&ann, &fair).await.unwrap_err(),
                _ => store.rsvp_count(&fair).await.unwrap_err(),
            };
            let waited = began.elapsed();
            assert!((1000..=longest).contains(&waited.as_millis()), "{layers}: {waited:?}");
            let Error::TimedOut { after, .. } = error else { panic!("{layers}: {error}") };
            assert_eq!(after, waited, "{layers}");
            let attempts = probe.asked().len();
            // A write dropped by its layer is pending, and is not repeated.
            let expected = if deaf && call == 0 { 1 } else { 2 };
            assert_eq!(attempts, expected, "{layers}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn replace_label_is_not_repeated_after_an_attempt_of_unknown_effect() {
    let (store, probe) = retried(RetryConfig::default());
    let name = LabelName::new("shard").unwrap();
    let (options, label) = (WriteOptions::default(), "eu1".parse().unwrap());
    let failed = |effect| Error::unavailable(Operation::ReplaceLabel, effect, None);
    probe.react([Reaction::Lose(failed(Effect::Unknown))]);
    let error = store.replace_label(&name, None, &label, &options).await.unwrap_err();
    assert_eq!((error.effect(), probe.asked().len()), (Effect::Unknown, 1));
    probe.react([Reaction::Fail(failed(Effect::NotApplied))]);
    let before = store.replace_label(&name, None, &label, &options).await.unwrap();
    assert_eq!((before.as_ref(), probe.asked().len()), (Some(&label), 2));
    probe.react([Reaction::Fail(Error::overloaded(Operation::Label))]);
    assert_eq!(store.label(&name, &ReadOptions::strong()).await.unwrap(), Some(label));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_answers_too_little_is_corrupt_in_its_own_entries() {
    let (store, probe) = retried(RetryConfig::default());
    let refused = each([0, 2], &Error::overloaded(Operation::Write));
    probe.react([Reaction::FailEntries(refused), Reaction::TooFewAnswers]);
    let results = written(&store, &rsvps(3)).await;
    for at in [0, 2] {
        assert!(matches!(results[at], Err(Error::Corrupt { .. })), "{results:?}");
    }
    assert!(results[1].is_ok(), "{results:?}");
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_which_an_entry_was_repeated_is_held_as_it_was_told() {
    let probe = Probe::new();
    let timeout = TimeoutConfig::new(ms(1000));
    let store = probe.clone().with_timeout(timeout).unwrap();
    let store = Arc::new(store.with_retry(RetryConfig::default()).unwrap());
    let (ann, fair) = (user(1_u64), event(1_u64));
    let writes = [
        Write::rsvp(ann.clone(), fair.clone()),
        Write::cancel(ann.clone(), fair.clone()),
        Write::rsvp(user(2_u64), fair.clone()),
    ];
    probe.react([Reaction::FailEntries(each([0, 1], &unavailable(Effect::NotApplied)))]);
    assert_eq!(write_all(&store, &writes).await.unwrap(), [Outcome::Applied; 3]);
    assert!(!probe.store.table().has_rsvped(&ann, &fair));
    assert_eq!(probe.store.table().rsvp_count(&fair), 1);
}

/// Timers go in milliseconds and round up.
#[tokio::test(start_paused = true)]
async fn no_attempt_begins_after_the_deadline() {
    for micros in (0..2000).step_by(50) {
        let deadline = ms(40) + Duration::from_micros(micros);
        let (store, probe) = retried(RetryConfig::default().with_deadline(deadline));
        probe.set_down(true);
        let error = store.rsvp(&user(1_u64), &event(1_u64)).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error}");
        let asked = probe.asked();
        let late = asked.iter().filter(|asked| asked.began >= asked.deadline.unwrap().instant());
        assert_eq!(late.count(), 0, "of {} attempts", asked.len());
    }
}
