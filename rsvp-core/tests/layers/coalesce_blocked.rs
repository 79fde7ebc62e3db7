//! Events that somebody else has locked, in a coalesced store.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rsvp_core::layers::{CoalesceConfig, LayerExt, LimitConfig};
use rsvp_core::{
    Action, Deadline, Effect, Error, EventId, Operation, Receipt, Result, Rsvp, RsvpStore,
    RsvpStoreExt, Write, WriteOptions,
};
use tokio::runtime::Runtime;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};

use crate::coalesce::{coalesced, narrow, settle, spawn_write};
use crate::engine::{Engine, Modelled, modelled};
use crate::hooked::Hooked;
use crate::probe::{Probe, Reaction};
use crate::{ends, event, user};

const PATIENCE: Duration = Duration::from_secs(1);

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn locked() -> EventId {
    event(0_u64)
}

fn rsvp(store: &Modelled, n: u64, event: &EventId) -> JoinHandle<Result<Receipt>> {
    let (store, event) = (store.clone(), event.clone());
    let options = WriteOptions::default().with_timeout(PATIENCE);
    tokio::spawn(async move { store.rsvp_with(&user(n), &event, options).await })
}

fn is_late<T>(answer: &Result<T>) -> bool {
    matches!(answer, Err(Error::TimedOut { .. }))
}

/// A store in which a batch of the locked event and of 50 others has timed out.
async fn suspected(config: CoalesceConfig) -> (Modelled, Arc<Hooked<Engine>>) {
    let (store, engine) = modelled(config);
    engine.lock(&locked());
    let writes: Vec<_> = (0..=50_u64).map(|n| Write::rsvp(user(1_u64), event(n))).collect();
    let began = Instant::now();
    let options = WriteOptions::default().with_timeout(PATIENCE);
    let receipt = store.write_batch(&writes, &options).await.unwrap();
    assert!(receipt.results.iter().all(is_late), "{receipt:?}");
    assert_eq!(began.elapsed(), PATIENCE);
    assert_eq!(engine.batches(), [(writes.iter().map(|w| w.rsvp.event.clone()).collect(), 51)]);
    (store, engine)
}

#[tokio::test(start_paused = true)]
async fn a_locked_event_holds_the_others_of_its_batch_for_one_deadline_and_nobody_after() {
    let (store, engine) = suspected(narrow()).await;
    let began = Instant::now();
    let blocked = rsvp(&store, 2, &locked());
    settle().await;
    let suspects: Vec<_> = (1..=50_u64).map(|n| rsvp(&store, 2, &event(n))).collect();
    let others: Vec<_> = (51..=99_u64).map(|n| rsvp(&store, 2, &event(n))).collect();
    for call in others {
        call.await.unwrap().unwrap();
    }
    assert!(began.elapsed() < ms(20), "they have a lane of their own: {:?}", began.elapsed());
    for call in suspects {
        call.await.unwrap().unwrap();
    }
    assert!(began.elapsed() < ms(350), "fifty, one after another: {:?}", began.elapsed());
    assert!(!blocked.is_finished());
    for (events, _) in engine.batches() {
        let suspect = |event: &EventId| (0..=50_u64).any(|n| *event == crate::event(n));
        assert!(events.len() == 1 || !events.iter().any(suspect), "{events:?}");
    }
    // Those that have succeeded are like all others again.
    let began = Instant::now();
    let calls: Vec<_> = (1..=99_u64).map(|n| rsvp(&store, 3, &event(n))).collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert!(began.elapsed() < ms(20), "{:?}", began.elapsed());
    assert!(is_late(&blocked.await.unwrap()));
    assert_eq!(store.pending(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_stays_locked_is_bounded_and_told_and_then_served_again() {
    let (store, engine) = suspected(narrow().with_max_pending(100)).await;
    let end = Instant::now() + Duration::from_secs(120);
    let mut callers = JoinSet::new();
    for caller in 0..200_u64 {
        let store = store.clone();
        callers.spawn(async move {
            let mut refused = 0;
            while Instant::now() < end {
                let began = Instant::now();
                let answer = rsvp(&store, caller, &locked()).await.unwrap();
                assert!(began.elapsed() <= PATIENCE + ms(250), "{:?}", began.elapsed());
                match answer.unwrap_err() {
                    Error::TimedOut { .. } => {}
                    Error::Overloaded { .. } => {
                        refused += 1;
                        sleep(ms(100)).await;
                    }
                    other => panic!("{other}"),
                }
            }
            refused
        });
    }
    let mut slowest = Duration::ZERO;
    while Instant::now() < end {
        let began = Instant::now();
        rsvp(&store, 1, &event(7_u64)).await.unwrap().unwrap();
        slowest = slowest.max(began.elapsed());
        assert!(store.pending() <= 101, "{}", store.pending());
        sleep(ms(7)).await;
    }
    assert!(slowest <= ms(12), "{slowest:?}");
    let refused: usize = callers.join_all().await.into_iter().sum();
    assert!(refused > 0, "more than there was room for");

    engine.unlock(&locked());
    assert!(rsvp(&store, 1, &locked()).await.unwrap().unwrap().outcome.is_applied());
    engine.batches();
    let first = rsvp(&store, 3, &event(1_u64));
    settle().await;
    let calls = [rsvp(&store, 3, &locked()), rsvp(&store, 3, &event(7_u64))];
    for call in join_all(calls).await.into_iter().chain([first.await]) {
        call.unwrap().unwrap();
    }
    let batches: Vec<_> = engine.batches().into_iter().map(|(events, _)| events.len()).collect();
    assert_eq!(batches, [1, 2], "it shares batches again");
    assert_eq!(store.pending(), 0);
}

#[tokio::test(start_paused = true)]
async fn many_locked_events_leave_places_to_suspects_and_lanes_to_the_others() {
    let is_even = |event: &&EventId| event.as_str().parse::<u64>().unwrap() % 2 == 0;
    let (store, engine) = modelled(CoalesceConfig::default());
    let events: Vec<_> = (0..60_u64).map(event).collect();
    let (locked, free): (Vec<_>, Vec<_>) = events.iter().partition(|event| is_even(event));
    locked.iter().for_each(|event| engine.lock(event));
    // All become suspects, and those that are locked are found out within a few deadlines.
    let writes = events.iter().map(|event| Write::rsvp(user(1_u64), event.clone()));
    let writes: Vec<_> = writes.collect();
    let options = WriteOptions::default().with_timeout(PATIENCE);
    let receipt = store.write_batch(&writes, &options).await.unwrap();
    assert!(receipt.results.iter().all(is_late), "every batch has a locked event");
    for round in 2..12_u64 {
        join_all(locked.iter().map(|event| rsvp(&store, round, event))).await;
    }
    let mut blocked = Vec::new();
    for round in 20..25_u64 {
        blocked.extend(locked.iter().map(|event| rsvp(&store, round, event)));
        settle().await;
        let began = Instant::now();
        for call in join_all(free.iter().map(|event| rsvp(&store, round, event))).await {
            call.unwrap().unwrap();
        }
        assert!(began.elapsed() < ms(100), "{:?}", began.elapsed());
        let began = Instant::now();
        for call in join_all((100..150_u64).map(|n| rsvp(&store, round, &event(n)))).await {
            call.unwrap().unwrap();
        }
        assert!(began.elapsed() < ms(20), "{:?}", began.elapsed());
    }
    assert!(engine.most_batches() <= 8, "{} batches", engine.most_batches());
    locked.iter().for_each(|event| engine.unlock(event));
    join_all(blocked).await;
    settle().await;
    assert_eq!(store.pending(), 0);
}

/// A batch of four leaves four suspects, and no more are remembered.
#[tokio::test(start_paused = true)]
async fn the_oldest_suspects_are_forgotten_when_there_are_too_many() {
    let (store, engine) = modelled(narrow().with_max_batch(4));
    let options = || WriteOptions::default().with_timeout(PATIENCE);
    let writes = |events: std::ops::Range<u64>| {
        events.map(|n| Write::rsvp(user(1_u64), event(n))).collect::<Vec<_>>()
    };
    for first in [0, 4] {
        engine.lock(&event(first));
        let receipt = store.write_batch(&writes(first..first + 4), &options()).await.unwrap();
        assert!(receipt.results.iter().all(is_late));
        engine.unlock(&event(first));
    }
    engine.batches();
    let receipt = store.write_batch(&writes(0..8), &options()).await.unwrap();
    assert!(receipt.results.iter().all(Result::is_ok));
    let mut lengths: Vec<_> =
        engine.batches().into_iter().map(|(events, _)| events.len()).collect();
    lengths.sort_unstable();
    assert_eq!(lengths, [1, 1, 1, 1, 4], "the later four are each alone");
}

/// With one lane, which another batch holds.
#[tokio::test(start_paused = true)]
async fn of_a_batch_whose_entries_time_out_alone_only_these_are_suspects() {
    let (store, probe) = coalesced(narrow());
    let late = Error::timed_out(Operation::Write, PATIENCE, Effect::NotApplied);
    probe.react([Reaction::LoseEntries(vec![(1, late)])]);
    let writes: Vec<_> = (0..3_u64).map(|n| Write::rsvp(user(1_u64), event(n))).collect();
    let receipt = store.write_batch(&writes, &WriteOptions::default()).await.unwrap();
    let failed: Vec<_> = receipt.results.iter().map(Result::is_err).collect();
    assert_eq!(failed, [false, true, false], "each has the answer that the store gave");
    probe.asked();
    probe.shut();
    let mut calls = vec![spawn_write(&store, Write::rsvp(user(2_u64), event(9_u64)))];
    settle().await;
    for n in [0_u64, 2] {
        calls.push(spawn_write(&store, Write::rsvp(user(2_u64), event(n))));
        settle().await;
    }
    assert_eq!(probe.batches(), [1], "they wait for the lane");
    calls.push(spawn_write(&store, Write::rsvp(user(2_u64), event(1_u64))));
    settle().await;
    assert_eq!(probe.batches(), [1], "the suspect is sent beside it");
    probe.open();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(probe.batches(), [2]);
}

#[tokio::test(start_paused = true)]
async fn closing_drains_suspects() {
    let (store, engine) = suspected(narrow()).await;
    let blocked: Vec<_> = (0..20).map(|n| rsvp(&store, n, &locked())).collect();
    let suspect = rsvp(&store, 2, &event(1_u64));
    settle().await;
    let closing = tokio::spawn({
        let store = store.clone();
        async move { store.close().await }
    });
    sleep(ms(500)).await;
    assert!(!closing.is_finished());
    engine.unlock(&locked());
    ends(closing).await.unwrap().unwrap();
    assert_eq!(engine.memory().table().rsvp_count(&locked()), 20);
    for call in blocked.into_iter().chain([suspect]) {
        call.await.unwrap().unwrap();
    }
    assert_eq!(store.pending(), 0);
}

#[tokio::test(start_paused = true)]
async fn callers_of_a_locked_event_that_go_away_leave_no_room_taken() {
    let (store, _engine) = suspected(narrow().with_max_pending(50)).await;
    for round in 0..20_u64 {
        let calls: Vec<_> = (0..40).map(|n| rsvp(&store, round * 40 + n, &locked())).collect();
        settle().await;
        assert!((1..=51).contains(&store.pending()), "{}", store.pending());
        calls.iter().for_each(JoinHandle::abort);
        sleep(2 * PATIENCE + ms(10)).await;
        assert_eq!(store.pending(), 0);
    }
}

#[test]
fn a_runtime_that_shuts_down_leaves_no_suspect_behind() {
    let (ending, lasting) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let (store, engine) = modelled(narrow());
    let short = || WriteOptions::default().with_timeout(ms(20));
    ending.block_on(async {
        engine.lock(&locked());
        let writes = [0_u64, 1].map(|n| Write::rsvp(user(1_u64), event(n)));
        let receipt = store.write_batch(&writes, &short()).await.unwrap();
        assert!(receipt.results.iter().all(Result::is_err));
    });
    // What has begun so far is not what is waited for below.
    engine.batches();
    let queue = |runtime: &Runtime, n: u64| {
        let (store, pending) = (store.clone(), store.pending());
        let event = locked();
        let call = runtime.spawn({
            let store = store.clone();
            async move { store.rsvp(&user(n), &event).await }
        });
        while store.pending() == pending {
            std::thread::yield_now();
        }
        call
    };
    let sent = queue(&ending, 2);
    let (began, longest) = (Instant::now(), Duration::from_secs(60));
    while engine.batches().is_empty() {
        assert!(began.elapsed() < longest);
        std::thread::yield_now();
    }
    let waiting = queue(&lasting, 3);
    ending.shutdown_timeout(longest);
    drop(sent);
    let error = lasting.block_on(ends(waiting)).unwrap().unwrap_err();
    assert_eq!(error.effect(), Effect::NotApplied, "{error}");
    assert_eq!(store.pending(), 0);
}

/// What a pair may be, for one who knows the answers to its writes in the order in which they were
/// queued.
#[derive(Clone, Debug)]
struct Known(BTreeSet<bool>);

impl Known {
    fn learn(&mut self, action: Action, answer: &Result<Receipt>) {
        let wanted = action == Action::Rsvp;
        match answer {
            Ok(receipt) => {
                let before = if receipt.outcome.is_applied() { !wanted } else { wanted };
                assert!(self.0.contains(&before), "{self:?}: {action:?} is {:?}", receipt.outcome);
                self.0 = BTreeSet::from([wanted]);
            }
            Err(error) if error.effect() == Effect::NotApplied => {}
            Err(_) => drop(self.0.insert(wanted)),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn writes_of_a_pair_keep_their_order_whatever_is_locked() {
    let seed = rsvp_testkit::seed();
    println!("{}={seed}", rsvp_testkit::SEED_VARIABLE);
    let mut random = StdRng::seed_from_u64(seed);
    let config = CoalesceConfig::default().with_lanes(2).with_max_batch(20).with_max_pending(60);
    let (store, engine) = modelled(config);
    let locks = {
        let (engine, mut random) = (engine.clone(), StdRng::seed_from_u64(seed ^ 1));
        tokio::spawn(async move {
            loop {
                let event = event(random.random_range(0..4_u64));
                if random.random() {
                    engine.lock(&event)
                } else {
                    engine.unlock(&event)
                }
                sleep(ms(random.random_range(0..200))).await;
            }
        })
    };
    let mut writers = JoinSet::new();
    for writer in 0..24_u64 {
        let (store, mut random) = (store.clone(), StdRng::seed_from_u64(random.random()));
        writers.spawn(async move {
            let pairs = (0..8_u64).map(|of| Rsvp::new(user(writer), event(of)));
            let mut pairs: Vec<_> =
                pairs.map(|pair| (pair, Known(BTreeSet::from([false])))).collect();
            for _ in 0..60 {
                let at = random.random_range(0..pairs.len());
                let (pair, known) = &mut pairs[at];
                // Some writes of one pair, queued in order, whose answers come at any time.
                let calls = (0..random.random_range(1..6)).map(|_| {
                    let action = if random.random() { Action::Rsvp } else { Action::Cancel };
                    let mut options = WriteOptions::default();
                    options.deadline = Some(Deadline::after(ms(random.random_range(0..400))));
                    let (store, write) = (&store, [Write::new(action, pair.clone())]);
                    let mut call = Box::pin(async move {
                        let receipt = store.write_batch(&write, &options).await?;
                        let written = receipt.results.into_iter().next().unwrap()?;
                        Ok(Receipt::new(written, receipt.token))
                    });
                    let at_once = call.as_mut().now_or_never();
                    async move {
                        match at_once {
                            Some(answer) => (action, answer),
                            None => (action, call.await),
                        }
                    }
                });
                let calls: Vec<_> = calls.collect();
                for (action, answer) in join_all(calls).await {
                    known.learn(action, &answer);
                }
            }
            pairs
        });
    }
    let pairs: Vec<_> = writers.join_all().await.concat();
    locks.abort();
    (0..4_u64).for_each(|n| engine.unlock(&event(n)));
    ends(store.close()).await.unwrap();
    assert_eq!(store.pending(), 0);
    for (Rsvp { user, event }, Known(possible)) in pairs {
        let held = engine.memory().table().has_rsvped(&user, &event);
        assert!(possible.contains(&held), "{user} at {event}: {held} of {possible:?}");
    }
    assert!(engine.most_batches() > 2, "suspects are sent beside the others");
}

/// The batch was never sent, so no event is the cause.
#[tokio::test(start_paused = true)]
async fn events_whose_batch_has_waited_for_a_limit_are_no_suspects() {
    let probe = Probe::new();
    let limited = Arc::new(probe.clone().with_limit(LimitConfig::new(1)).unwrap());
    let store = Arc::new(limited.clone().with_coalescing(narrow()).unwrap());
    let writes: Vec<_> = (0..50_u64).map(|n| Write::rsvp(user(1_u64), event(n))).collect();
    probe.shut();
    let running = tokio::spawn(async move { limited.rsvp(&user(2_u64), &event(99_u64)).await });
    settle().await;
    let (began, options) = (Instant::now(), WriteOptions::default().with_timeout(PATIENCE));
    let receipt = store.write_batch(&writes, &options).await.unwrap();
    assert_eq!(began.elapsed(), PATIENCE);
    for result in receipt.results {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Overloaded { .. }), "{error}");
    }
    probe.open();
    running.await.unwrap().unwrap();
    let receipt = store.write_batch(&writes, &WriteOptions::default()).await.unwrap();
    assert!(receipt.results.iter().all(Result::is_ok));
    assert_eq!(probe.batches(), [1, 50]);
}
