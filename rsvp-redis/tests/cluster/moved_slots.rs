//! Slots may move from one primary to another at any time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::mover::{Move, Told, another};
use crate::support::{LIMIT, counts, event, event_key, open, random, user, user_key, write};
use rand::Rng;
use rsvp_core::{Effect, Outcome, PageRequest, RsvpStore, RsvpStoreExt, Write};
use rsvp_redis::RedisStore;
use rsvp_testkit::ledger::{Writers, check};
use rsvp_testkit::servers::RedisCluster;
use tokio::time::{Instant, sleep};

/// Writes and reads one pair without end, and counts the calls and those that failed.
async fn watch(store: RedisStore, stop: Arc<AtomicBool>) -> (u64, u64, Duration) {
    let (user, event) = (user("watcher"), event(0));
    let (mut calls, mut failed, mut longest) = (0, 0, Duration::ZERO);
    let mut known = true;
    while !stop.load(Ordering::SeqCst) {
        for change in [Write::rsvp, Write::cancel] {
            let (change, first) = (change(user.clone(), event.clone()), Instant::now());
            loop {
                let began = Instant::now();
                let answer = write(&store, std::slice::from_ref(&change)).await;
                longest = longest.max(began.elapsed());
                calls += 1;
                match answer {
                    Ok(outcomes) => {
                        assert!(!known || outcomes == [Outcome::Applied], "{change:?}");
                        known = true;
                        break;
                    }
                    Err(error) => {
                        assert!(error.is_retryable(), "{error:?}");
                        assert!(first.elapsed() < LIMIT, "it fails for ever: {error:?}");
                        println!("{error}");
                        known &= error.effect() == Effect::NotApplied;
                        failed += 1;
                        sleep(Duration::from_millis(5)).await;
                    }
                }
            }
        }
    }
    (calls, failed, longest)
}

/// How often the nodes have answered with an error.
async fn refusals(cluster: &RedisCluster, code: &str) -> u64 {
    let mut sum = 0;
    for node in cluster.nodes() {
        let stats = node.command(&["INFO", "errorstats"]).await;
        let prefix = format!("errorstat_{code}:count=");
        let mut counts = stats.lines().filter_map(|line| line.trim().strip_prefix(&prefix));
        sum += counts.next().map_or(0, |count| count.parse().unwrap());
    }
    println!("{sum} answers {code}");
    sum
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outcomes_stay_right_while_the_slots_of_events_and_users_move() {
    let mut random = random();
    let cluster = RedisCluster::start().await;
    let store = open(&cluster.url()).await;
    let writers = Writers::start(Arc::new(store.clone()), 12, &mut random);
    let stop = Arc::new(AtomicBool::new(false));
    let watching = tokio::spawn(watch(store.clone(), Arc::clone(&stop)));
    let keys = [
        event_key(&event(0)),
        event_key(&event(1)),
        event_key(&event(2)),
        user_key(&user("0/1")),
        user_key(&user("1/2")),
    ];
    for round in 0..4 {
        let told = if round % 2 == 0 { Told::AllPrimaries } else { Told::GiverAndTaker };
        for key in &keys {
            let pause = Duration::from_millis(random.random_range(0..60));
            let taker = another(&cluster, key).await;
            Move::begin(&cluster, key, taker).await.finish(told, pause).await;
            writers.acknowledge(1).await;
        }
        println!("{told:?}: {:?} without an acknowledged write", writers.longest_gap());
    }
    stop.store(true, Ordering::SeqCst);
    let (calls, failed, longest) = watching.await.unwrap();
    println!("{failed} of {calls} calls failed, the longest took {longest:?}");
    println!("{} writes acknowledged over {} moves", writers.acknowledged(), 4 * keys.len());
    assert!(refusals(&cluster, "ASK").await > 0, "nobody was sent to where a slot was going");
    assert!(refusals(&cluster, "MOVED").await > 0, "nobody was sent to where a slot had gone");
    check(&store, &writers.stop().await).await;
}

/// Two events of one slot, found by trying.
const NEIGHBOURS: [u64; 2] = [8, 1120];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_slot_is_half_way_no_call_fails() {
    let cluster = RedisCluster::start().await;
    let store = open(&cluster.url()).await;
    let [stays, goes] = NEIGHBOURS.map(event);
    let (alice, bob) = (user("alice"), user("bob"));
    for event in [&stays, &goes] {
        store.rsvp(&alice, event).await.unwrap();
    }
    let taker = another(&cluster, &event_key(&stays)).await;
    let half_way = Move::begin(&cluster, &event_key(&stays), taker).await;
    half_way.migrate(&event_key(&goes)).await;
    for event in [&stays, &goes] {
        assert_eq!(store.rsvp(&alice, event).await.unwrap().outcome, Outcome::Unchanged);
        assert_eq!(store.rsvp(&bob, event).await.unwrap().outcome, Outcome::Applied);
    }
    let both = [stays.clone(), goes.clone()];
    let count = async || counts(&store, &both).await.unwrap();
    assert_eq!(count().await, [2, 2]);
    let request = PageRequest::default();
    for event in &both {
        let page = store.attendees_page(event, &request).await.unwrap();
        assert_eq!(BTreeSet::from_iter(page.items), BTreeSet::from([alice.clone(), bob.clone()]));
    }
    // Several commands to either in one call, of which one makes its key vanish where it was.
    let out = both
        .iter()
        .flat_map(|event| [&alice, &bob].map(|user| Write::cancel(user.clone(), event.clone())));
    let outcomes = write(&store, &out.collect::<Vec<_>>()).await.unwrap();
    assert_eq!(outcomes, [Outcome::Applied; 4]);
    assert_eq!(count().await, [0, 0]);
    assert_eq!(store.rsvp(&alice, &stays).await.unwrap().outcome, Outcome::Applied);
    assert_eq!(count().await, [1, 0]);
    half_way.finish(Told::GiverAndTaker, Duration::ZERO).await;
    assert_eq!(count().await, [1, 0]);
    assert_eq!(store.rsvp(&alice, &stays).await.unwrap().outcome, Outcome::Unchanged);
    assert_eq!(store.remove_event(&stays).await.unwrap().removed, 1);
    assert_eq!(count().await, [0, 0]);
}
