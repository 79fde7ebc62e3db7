//! Callers that go away, batches that fail, stores that are closed.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rsvp_core::layers::{CoalesceConfig, LayerExt};
use rsvp_core::{
    Action, Consistency, Effect, Error, Operation, Outcome, PageLimit, Rsvp, RsvpStore,
    RsvpStoreExt, Write, WriteOptions,
};
use rsvp_memory::MemoryStore;
use rsvp_testkit::{FaultStore, Faults};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::coalesce::{coalesced, narrow, settle, spawn_write};
use crate::probe::{Probe, Reaction};
use crate::{counts, ends, event, present, user, write_all};

fn lost() -> Error {
    Error::unavailable(Operation::Write, Effect::Unknown, None)
}

fn rsvp(n: u32) -> Write {
    Write::rsvp(user(n), event(1_u64))
}

#[tokio::test(start_paused = true)]
async fn a_queued_write_of_a_caller_who_has_gone_takes_effect_in_its_turn() {
    let (store, probe) = coalesced(narrow());
    probe.shut();
    let first = spawn_write(&store, rsvp(0));
    settle().await;
    let gone = spawn_write(&store, rsvp(1));
    settle().await;
    gone.abort();
    let cancel = spawn_write(&store, Write::cancel(user(1_u64), event(1_u64)));
    settle().await;
    probe.open();
    first.await.unwrap().unwrap();
    let cancelled = cancel.await.unwrap().unwrap();
    assert_eq!(cancelled, [Outcome::Applied], "the RSVP was made before it");
    assert_eq!(store.pending(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_queued_read_of_a_caller_who_has_gone_is_not_made() {
    let (store, probe) = coalesced(narrow());
    probe.shut();
    let ask = |n: u64| {
        let store = store.clone();
        tokio::spawn(async move { store.has_rsvped(&user(n), &event(n)).await })
    };
    let first = ask(0);
    settle().await;
    let calls: Vec<_> = (1..5).map(ask).collect();
    settle().await;
    calls[..3].iter().for_each(|call| call.abort());
    settle().await;
    probe.open();
    first.await.unwrap().unwrap();
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.is_ok(), n == 3);
    }
    assert_eq!(probe.batches(), [1, 1], "three of the second batch had gone");
    assert_eq!(store.pending(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_error_reaches_the_callers_of_its_batch_and_nobody_else() {
    let (store, probe) = coalesced(narrow());
    let driver = std::io::Error::other("gone");
    let corrupt = Error::corrupt(Operation::Write, "something");
    // A batch that was dropped in flight is pending.
    let (refused, unknown) = (Some(Effect::NotApplied), Some(Effect::Unknown));
    let errors = [
        (Reaction::Fail(Error::overloaded(Operation::Write)), refused),
        (Reaction::Lose(lost()), unknown),
        (Reaction::Fail(corrupt), unknown),
        (
            Reaction::Fail(Error::backend(Operation::Write, Effect::NotApplied, false, driver)),
            refused,
        ),
        (Reaction::TooFewAnswers, unknown),
        (Reaction::Panic, None),
    ];
    for (round, (reaction, effect)) in (0..).zip(errors) {
        let user = |n: u32| round * 100 + n;
        probe.shut();
        let first = spawn_write(&store, rsvp(user(0)));
        settle().await;
        probe.react([reaction.clone()]);
        let failing: Vec<_> = (1..10).map(|n| spawn_write(&store, rsvp(user(n)))).collect();
        settle().await;
        probe.let_through(1);
        first.await.unwrap().unwrap();
        settle().await;
        let next = spawn_write(&store, rsvp(user(50)));
        settle().await;
        probe.open();
        for call in failing {
            let error = call.await.unwrap().unwrap_err();
            let settled = Some(error.effect()).filter(|effect| effect.is_settled());
            assert_eq!(settled, effect, "{reaction:?}: {error}");
        }
        assert_eq!(next.await.unwrap().unwrap(), [Outcome::Applied], "{reaction:?}");
        settle().await;
        assert_eq!(store.pending(), 0, "{reaction:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_that_panics_or_falls_short_is_an_error_of_its_callers() {
    let (store, probe) = coalesced(narrow());
    for reaction in [Reaction::Panic, Reaction::TooFewAnswers] {
        probe.react([reaction.clone(), reaction]);
        assert!(store.has_rsvped(&user(1_u64), &event(1_u64)).await.is_err());
        assert!(store.rsvp_count(&event(1_u64)).await.is_err());
        assert_eq!(store.rsvp_count(&event(1_u64)).await.unwrap().value, 0);
    }
    assert_eq!(store.pending(), 0);
}

#[tokio::test(start_paused = true)]
async fn of_a_call_that_goes_in_many_batches_of_which_one_fails_its_entries_fail_alone() {
    let (store, probe) = coalesced(CoalesceConfig::default().with_lanes(64));
    let writes: Vec<_> = (0..100_u32).map(|n| Write::rsvp(user(n), event(n))).collect();
    let refused = || Reaction::Fail(Error::overloaded(Operation::Write));
    probe.react([refused()]);
    let receipt = store.write_batch(&writes, &WriteOptions::default()).await.unwrap();
    let failed = receipt.results.iter().filter(|result| result.is_err()).count();
    assert_eq!(Some(failed), probe.batches().first().copied(), "those of one batch");
    for (write, result) in writes.iter().zip(&receipt.results) {
        let Rsvp { user, event } = &write.rsvp;
        assert_eq!(probe.store.table().has_rsvped(user, event), result.is_ok());
        let effect = result.as_ref().map_err(Error::effect).err();
        assert!(effect.is_none_or(|effect| effect == Effect::NotApplied), "{result:?}");
    }
    probe.react(writes.iter().map(|_| refused()));
    let receipt = store.write_batch(&writes, &WriteOptions::default()).await.unwrap();
    for result in receipt.results {
        assert_eq!(result.unwrap_err().effect(), Effect::NotApplied, "all of it was refused");
    }
}

#[tokio::test(start_paused = true)]
async fn closing_drains_and_refuses_what_comes_later() {
    let (store, probe) = coalesced(CoalesceConfig::default());
    probe.shut();
    let waiting: Vec<_> = (0..50).map(|n| spawn_write(&store, rsvp(n))).collect();
    settle().await;
    let gone = spawn_write(&store, rsvp(99));
    settle().await;
    gone.abort();
    let closes: Vec<_> = (0..2)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.close().await })
        })
        .collect();
    settle().await;
    assert!(store.close().now_or_never().is_none(), "there is something to wait for");
    let late = store.rsvp(&user(77_u64), &event(1_u64)).await.unwrap_err();
    assert_eq!((late.effect(), late.is_retryable()), (Effect::NotApplied, false), "{late}");
    probe.open();
    for close in closes {
        close.await.unwrap().unwrap();
    }
    assert_eq!(probe.store.table().rsvp_count(&event(1_u64)), 51, "all that was queued");
    for call in waiting {
        call.await.unwrap().unwrap();
    }
    let (ann, fair) = (user(1_u64), event(1_u64));
    assert!(store.has_rsvped(&ann, &fair).await.is_err() && store.rsvp_count(&fair).await.is_err());
    assert!(store.ready().await.is_err() && store.remove_event(&fair).await.is_err());
    assert!(store.remove_user_step(&ann, PageLimit::MIN, &WriteOptions::default()).await.is_err());
    ends(store.close()).await.unwrap();
}

#[test]
fn without_a_runtime_a_call_is_refused() {
    let (store, _probe) = coalesced(CoalesceConfig::default());
    let refused = store.rsvp(&user(1_u64), &event(1_u64)).now_or_never().unwrap().unwrap_err();
    assert_eq!((refused.effect(), refused.is_retryable()), (Effect::NotApplied, false));
    assert_eq!(store.pending(), 0);
}

#[test]
fn a_runtime_that_shuts_down_leaves_no_lane_behind() {
    let (store, probe) = coalesced(narrow());
    probe.shut();
    let (driving, waiting) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    driving.block_on(async {
        drop(spawn_write(&store, rsvp(1)));
        while probe.asked().is_empty() {
            tokio::task::yield_now().await;
        }
    });
    let second = waiting.spawn({
        let store = store.clone();
        async move { write_all(&store, &[rsvp(2)]).await }
    });
    waiting.block_on(async {
        while store.pending() < 2 {
            tokio::task::yield_now().await;
        }
    });
    driving.shutdown_background();
    let error = waiting
        .block_on(async { timeout(Duration::from_secs(60), second).await })
        .expect("every call ends");
    assert_eq!(error.unwrap().unwrap_err().effect(), Effect::NotApplied, "it was never begun");
    probe.open();
    let outcomes = waiting.block_on(write_all(&store, &[rsvp(3)])).unwrap();
    assert_eq!(outcomes, [Outcome::Applied]);
    assert_eq!(store.pending(), 0);
}

#[test]
fn a_runtime_that_ends_before_it_begins_a_batch_leaves_no_lane_behind() {
    let (store, _probe) = coalesced(narrow());
    let (ann, fair) = (user(1_u64), event(1_u64));
    let ended = tokio::runtime::Builder::new_current_thread().build().unwrap();
    ended.block_on(async {
        // Queued, and then nobody lets the task that was spawned for it begin.
        assert!(store.rsvp(&ann, &fair).now_or_never().is_none());
        assert!(store.has_rsvped(&ann, &fair).now_or_never().is_none());
    });
    let handle = ended.handle().clone();
    drop(ended);
    assert_eq!(store.pending(), 0, "what will never be made is not waited for");
    let shut_down = handle.enter();
    let refused = store.rsvp(&ann, &fair).now_or_never().expect("at once").unwrap_err();
    assert_eq!((refused.effect(), refused.is_retryable()), (Effect::NotApplied, true));
    drop(shut_down);
    let runtime = Runtime::new().unwrap();
    let receipt = runtime.block_on(ends(store.rsvp(&ann, &fair))).unwrap();
    assert_eq!(receipt.outcome, Outcome::Applied);
    assert!(runtime.block_on(ends(store.has_rsvped(&ann, &fair))).unwrap());
    runtime.block_on(ends(store.close())).unwrap();
}

#[test]
fn whoever_has_no_runtime_is_served_by_those_who_have() {
    let (store, probe) = coalesced(narrow());
    probe.shut();
    let runtime = Runtime::new().unwrap();
    let first = runtime.spawn({
        let store = store.clone();
        async move { write_all(&store, &[rsvp(1)]).await }
    });
    while store.pending() == 0 {
        std::thread::yield_now();
    }
    let writes = [rsvp(2)];
    let mut second = Box::pin(write_all(&store, &writes));
    assert!(second.as_mut().now_or_never().is_none(), "it waits for its batch");
    probe.let_through(2);
    runtime.block_on(first).unwrap().unwrap();
    runtime.block_on(ends(store.close())).unwrap();
    let outcomes = second.now_or_never().expect("all is done").unwrap();
    assert_eq!(outcomes, [Outcome::Applied]);
}

/// Two drivers take questions; one of them ends with its runtime.
#[test]
fn the_end_of_one_runtime_leaves_the_questions_to_the_other() {
    let (store, probe) = coalesced(CoalesceConfig::default().with_concurrent_reads(2));
    probe.shut();
    let ask = |runtime: &Runtime| {
        let store = store.clone();
        runtime.spawn(async move { store.has_rsvped(&user(1_u64), &event(1_u64)).await })
    };
    let asked = |count: usize| {
        let mut seen = 0;
        while seen < count {
            seen += probe.asked().len();
            std::thread::yield_now();
        }
    };
    let (ending, lasting) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    drop(ask(&ending));
    asked(1);
    let first = ask(&lasting);
    asked(1);
    let queued = ask(&lasting);
    while store.pending() < 3 {
        std::thread::yield_now();
    }
    ending.shutdown_timeout(Duration::from_secs(60));
    assert_eq!(store.pending(), 2, "what the ended one asked is forgotten");
    probe.open();
    lasting.block_on(ends(async {
        assert!(!first.await.unwrap().unwrap());
        assert!(!queued.await.unwrap().unwrap());
        store.close().await.unwrap();
    }));
}

#[test]
fn a_batch_over_lanes_on_a_runtime_that_has_ended_is_refused() {
    let (store, _probe) = coalesced(CoalesceConfig::default());
    let ended = Runtime::new().unwrap();
    let handle = ended.handle().clone();
    drop(ended);
    let shut_down = handle.enter();
    let writes: Vec<_> = (0..100_u32).map(|n| Write::rsvp(user(n), event(n))).collect();
    let pairs: Vec<_> = writes.iter().map(|write| write.rsvp.clone()).collect();
    let refused = write_all(&store, &writes).now_or_never().expect("at once").unwrap_err();
    assert_eq!((refused.effect(), refused.is_retryable()), (Effect::NotApplied, true));
    let asked = present(&store, &pairs).now_or_never();
    assert!(asked.expect("at once").is_err());
    assert_eq!(store.pending(), 0);
    drop(shut_down);
    let outcomes = Runtime::new().unwrap().block_on(ends(write_all(&store, &writes)));
    assert_eq!(outcomes.unwrap(), [Outcome::Applied; 100]);
}

/// One writer's pairs are its own, so it knows what every acknowledged write must answer and
/// leave, and forgets what it knows of a pair after a failure of unknown effect or a drop.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_delays_failures_and_drops_every_call_ends_and_the_state_is_right() {
    let seed = rsvp_testkit::seed();
    println!("{}={seed}", rsvp_testkit::SEED_VARIABLE);
    let faults = Faults {
        before: 0.05,
        after: 0.05,
        delay: 0.3,
        longest_delay: Duration::from_millis(3),
        ..Faults::default()
    };
    let faulty =
        Arc::new(FaultStore::new(MemoryStore::new(), seed).with_writes(faults).with_reads(faults));
    let config = CoalesceConfig::default().with_max_batch(20);
    let store = Arc::new(faulty.clone().with_coalescing(config).unwrap());
    let mut writers = JoinSet::new();
    for writer in 0..16_u64 {
        let store = store.clone();
        let mut random = StdRng::seed_from_u64(seed ^ writer);
        writers.spawn(async move {
            let mut known = [Some(false); 8];
            for _ in 0..300 {
                let at = random.random_range(0..known.len());
                let (user, event) = (user(writer), event(at as u64));
                let action = if random.random() { Action::Rsvp } else { Action::Cancel };
                let wanted = action == Action::Rsvp;
                let write = [Write::new(action, Rsvp::new(user, event))];
                let patience = Duration::from_micros(random.random_range(0..20_000));
                match timeout(patience, write_all(&store, &write)).await {
                    Ok(Ok(outcomes)) => {
                        let changed = outcomes[0].is_applied();
                        assert!(known[at].is_none_or(|was| changed == (was != wanted)));
                        known[at] = Some(wanted);
                    }
                    Ok(Err(error)) if error.effect() == Effect::NotApplied => {}
                    Ok(Err(_)) => known[at] = None,
                    // It may still be on its way, so the next outcome is anybody's guess, too.
                    Err(_) => known[at] = None,
                }
            }
            (writer, known)
        });
    }
    let all = timeout(Duration::from_secs(60), writers.join_all()).await.expect("every call ends");
    timeout(Duration::from_secs(60), store.close()).await.expect("everything is drained").unwrap();
    assert_eq!(store.pending(), 0);
    for (writer, known) in all {
        for (at, expected) in (0..).zip(known) {
            let held = faulty.get_ref().table().has_rsvped(&user(writer), &event(at as u64));
            assert!(expected.is_none_or(|expected| expected == held), "{writer} at {at}");
        }
    }
}

#[tokio::test]
async fn printing_shows_the_nest() {
    let store = Probe::new().with_coalescing(CoalesceConfig::default()).unwrap();
    let shown = format!("{store:?}");
    assert!(shown.starts_with("CoalescedStore { store: Probe"), "{shown}");
    assert!(counts(&store, &[], Consistency::Strong).await.unwrap().is_empty());
}

/// A batch is in flight and lanes are free. A write waits for the driver of another caller, whose
/// runtime ends before it polls the driver.
#[test]
fn a_write_is_sent_though_the_runtime_of_the_coming_driver_ends() {
    let probe = Probe::new();
    let store = Arc::new(probe.clone().with_coalescing(CoalesceConfig::default()).unwrap());
    probe.shut();
    let call = |n: u64| {
        let store = store.clone();
        async move { store.rsvp(&user(n), &event(n)).await.map(drop) }
    };
    let lasting = Runtime::new().unwrap();
    let blocked = lasting.spawn(call(1));
    while probe.asked().is_empty() {
        std::thread::yield_now();
    }
    let ending = Builder::new_current_thread().build().unwrap();
    ending.block_on(async { assert!(call(2).now_or_never().is_none()) });
    let waiting = lasting.spawn(call(3));
    while store.pending() < 3 {
        std::thread::yield_now();
    }
    drop(ending);
    // The first batch is still blocked.
    let sent = || !probe.asked().is_empty();
    let began = tokio::time::Instant::now();
    while !sent() {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "the third write waits for the first one"
        );
        std::thread::yield_now();
    }
    probe.open();
    lasting.block_on(async {
        waiting.await.unwrap().unwrap();
        blocked.await.unwrap().unwrap();
    });
}
