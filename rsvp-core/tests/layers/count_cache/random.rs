//! Random interleavings of readers and writers through two caches on one store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, FileFailurePersistence, RngAlgorithm, RngSeed, TestRunner};
use rsvp_core::layers::CountCacheConfig;
use rsvp_core::layers::{CountCache, LayerExt};
use rsvp_core::{Action, Consistency, Count, EventId, PageLimit, RsvpStore, SessionToken};
use rsvp_core::{Rsvp, UserId, Write, WriteOptions};
use rsvp_testkit::SEED_VARIABLE;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::count_cache::history::{Fate, History, PLAN, Plan, Recorded, Span};
use crate::count_cache::{event, ms, user};
use crate::hooked::Hooked;
use crate::{counts, write_all};

/// What has failed once.
const REGRESSIONS: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/proptest-regressions/count_cache.txt");

/// So that a count that is not settled is kept for 50 ms.
const MAX_AGE: u64 = 1000;

#[derive(Clone, Debug)]
enum What {
    Write(Vec<Write>),
    RemoveEvent(EventId),
    RemoveUser(UserId),
    Read(Vec<EventId>, Consistency),
}

/// A call through one of the caches, which begins some time after the one before.
#[derive(Clone, Debug)]
struct Step {
    after: Duration,
    process: usize,
    what: What,
    plan: Plan,
    /// The caller goes away after so long.
    patience: Option<Duration>,
}

fn events() -> impl Strategy<Value = EventId> {
    (0..2).prop_map(event)
}

fn writes() -> impl Strategy<Value = Write> {
    let action = prop_oneof![2 => Just(Action::Rsvp), 1 => Just(Action::Cancel)];
    let write = |(action, user_id, event): (_, u8, _)| {
        let rsvp = Rsvp::new(user(user_id), event);
        Write::new(action, rsvp)
    };
    (action, 0..4_u8, events()).prop_map(write)
}

fn what() -> impl Strategy<Value = What> {
    let bounds = select(vec![0, 1, 10, 30, 100, 300, 1000, 5000]);
    let levels = prop_oneof![
        10 => bounds.prop_map(|bound| Consistency::Bounded(ms(bound))),
        1 => Just(Consistency::Strong),
        1 => Just(Consistency::Session(SessionToken::new())),
    ];
    prop_oneof![
        8 => vec(writes(), 1..4).prop_map(What::Write),
        1 => events().prop_map(What::RemoveEvent),
        1 => (0..4_u8).prop_map(|id| What::RemoveUser(user(id))),
        12 => (vec(events(), 1..3), levels).prop_map(|(events, level)| What::Read(events, level)),
    ]
}

/// Mostly quick, sometimes longer than readers and writers wait for each other.
fn pauses() -> impl Strategy<Value = Duration> {
    prop_oneof![4 => 0..3_u64, 2 => 3..30_u64, 1 => 30..80_u64].prop_map(ms)
}

fn plans() -> impl Strategy<Value = Plan> {
    let fate = prop_oneof![
        12 => Just(Fate::Answered),
        1 => Just(Fate::Refused),
        1 => Just(Fate::Lost),
        1 => Just(Fate::AnswerLost),
    ];
    let plan = (pauses(), pauses(), fate);
    plan.prop_map(|(before, after, fate)| Plan { call: 0, process: 0, before, after, fate })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let patience = prop_oneof![8 => Just(None), 1 => (0..60_u64).prop_map(|after| Some(ms(after)))];
    let step = (pauses(), 0..2_usize, what(), plans(), patience);
    let step = step.prop_map(|(pause, process, what, plan, patience)| Step {
        after: pause,
        process,
        what,
        plan: Plan { process, ..plan },
        patience,
    });
    vec(step, 1..60)
}

/// What a reader was told.
#[derive(Debug)]
struct Told {
    process: usize,
    span: Span,
    bound: Duration,
    counts: Vec<(EventId, Count)>,
}

#[derive(Debug, Default)]
struct Record {
    next: usize,
    /// Which process a write went through, and when it was acknowledged.
    acknowledged: BTreeMap<usize, (usize, usize)>,
    told: Vec<Told>,
}

impl Record {
    fn now(&mut self) -> (usize, Instant) {
        self.next += 1;
        (self.next, Instant::now())
    }
}

async fn carry_out(cache: Arc<CountCache<Recorded>>, step: Step, record: Arc<Mutex<Record>>) {
    let began = record.lock().unwrap().now();
    let answered = match &step.what {
        What::Write(writes) => write_all(&*cache, writes).await.map(drop),
        What::RemoveEvent(event) => {
            cache.remove_event_step(event, PageLimit::MIN, &WriteOptions::default()).await.map(drop)
        }
        What::RemoveUser(user) => {
            cache.remove_user_step(user, PageLimit::MIN, &WriteOptions::default()).await.map(drop)
        }
        What::Read(events, level) => {
            let bound = match level {
                Consistency::Bounded(bound) => *bound,
                _ => Duration::ZERO,
            };
            let read = counts(&*cache, events, level.clone()).await;
            read.map(|counts| {
                let mut record = record.lock().unwrap();
                let span = Span { began, ended: record.now() };
                assert_eq!(counts.len(), events.len());
                let counts = events.iter().cloned().zip(counts).collect();
                record.told.push(Told { process: step.process, span, bound, counts });
            })
        }
    };
    if answered.is_ok() {
        let mut record = record.lock().unwrap();
        let (ended, _) = record.now();
        record.acknowledged.insert(step.plan.call, (step.process, ended));
    }
}

/// `reads` are the plans of the reads that the caches make.
async fn run(steps: Vec<Step>, reads: Vec<Plan>) -> Result<(), TestCaseError> {
    let history = Arc::new(History::new(&[event(0), event(1)], reads));
    let config = CountCacheConfig::default().with_max_age(ms(MAX_AGE));
    let caches =
        [0, 1].map(|_| Arc::new(Hooked(history.clone()).with_count_cache(config).unwrap()));
    let record = Arc::new(Mutex::new(Record::default()));
    let mut calls = JoinSet::new();
    for (call, step) in steps.into_iter().enumerate() {
        sleep(step.after).await;
        let cache = caches[step.process].clone();
        let (plan, patience) = (Plan { call, ..step.plan.clone() }, step.patience);
        let step = Step { plan: plan.clone(), ..step };
        let carried_out = PLAN.scope(plan, carry_out(cache, step, record.clone()));
        calls.spawn(async move {
            match patience {
                None => carried_out.await,
                Some(patience) => drop(timeout(patience, carried_out).await),
            }
        });
    }
    calls.join_all().await;
    let record = record.lock().unwrap();
    for Told { process, span, bound, counts } in &record.told {
        let ended = |call| {
            let (through, ended) = record.acknowledged.get(&call)?;
            (through == process).then_some(*ended)
        };
        for (event, count) in counts {
            let greatest = (*bound).min(ms(MAX_AGE));
            prop_assert!(count.age <= greatest, "{:?} within {:?}", count, bound);
            // No count is older than one that the same cache has told before.
            let before =
                |told: &&Told| told.process == *process && told.span.ended.0 < span.began.0;
            let earlier = record.told.iter().filter(before);
            let of_event = earlier.flat_map(|told| {
                let counts = told.counts.iter().filter(|(of, _)| of == event);
                counts.map(|(_, count)| told.span.began.1 - count.age)
            });
            prop_assert!(
                history.allows(event, count, span, of_event.max(), ended),
                "{:?} of {:?} through {} at {:?}\n{:#?}\n{:?}",
                count,
                event,
                process,
                span,
                history,
                record.acknowledged
            );
        }
    }
    Ok(())
}

#[test]
fn every_count_was_true_within_its_age_and_its_age_is_within_the_bound() {
    let seed = rsvp_testkit::seed();
    println!("{SEED_VARIABLE}={seed}");
    let config = Config {
        cases: 1000,
        max_shrink_iters: 1000,
        rng_algorithm: RngAlgorithm::ChaCha,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(REGRESSIONS))),
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&(steps(), vec(plans(), 1..30)), |(steps, reads)| {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().start_paused(true).build().unwrap().block_on(run(steps, reads))
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
