//! Slots may move from one primary to another at any time.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests fail by panicking and print")]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::Rng;
use rsvp_core::{Effect, Outcome, PageLimit, PageRequest, Rsvp, RsvpStore, Write};
use rsvp_redis::RedisStore;
use rsvp_testkit::ledger::{Writers, check};
use rsvp_testkit::servers::RedisCluster;
use support::mover::{Told, another, move_slot};
use support::{event, event_key, open, random, user, user_key};
use tokio::time::Instant;

/// Writes and reads one pair without end, and counts the calls and those that failed.
async fn watch(store: RedisStore, stop: Arc<AtomicBool>) -> (u64, u64, Duration) {
    let (user, event) = (user("watcher"), event(0));
    let (mut calls, mut failed, mut longest) = (0, 0, Duration::ZERO);
    let mut known = true;
    while !stop.load(Ordering::SeqCst) {
        for write in
            [Write::rsvp(user.clone(), event.clone()), Write::cancel(user.clone(), event.clone())]
        {
            loop {
                let began = Instant::now();
                let answer = store.write_batch(std::slice::from_ref(&write)).await;
                longest = longest.max(began.elapsed());
                calls += 1;
                match answer {
                    Ok(receipt) => {
                        assert!(!known || receipt.outcomes == [Outcome::Applied], "{write:?}");
                        known = true;
                        break;
                    }
                    Err(error) => {
                        assert!(error.is_retryable(), "{error:?}");
                        println!("{error}");
                        known &= error.effect() == Effect::NotApplied;
                        failed += 1;
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
            move_slot(&cluster, key, taker, told, pause).await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_shows_everything_when_a_slot_moves_between_two_of_its_pages() {
    let cluster = RedisCluster::start().await;
    let store = open(&cluster.url()).await;
    let pairs: BTreeSet<Rsvp> = (0..300).map(|n| Rsvp::new(user(n), event(n % 60))).collect();
    let write = |pair: &Rsvp| Write::rsvp(pair.user.clone(), pair.event.clone());
    store.write_batch(&pairs.iter().map(write).collect::<Vec<_>>()).await.unwrap();
    for told in [Told::AllPrimaries, Told::GiverAndTaker].repeat(3) {
        // The nodes are scanned in the order of their slots. This key is in slot 0.
        let first = cluster.primary_of("{06S}").await;
        let limit = PageLimit::new(10).unwrap();
        let mut request = PageRequest { limit, ..PageRequest::default() };
        let (mut seen, mut pages, mut moved) = (BTreeSet::new(), 0, false);
        loop {
            let page = store.scan_page(&request).await.unwrap();
            pages += 1;
            seen.extend(page.items.iter().cloned());
            let Some(next) = page.next else { break };
            request.cursor = Some(next);
            let Some(Rsvp { event, .. }) = page.items.last() else { continue };
            let at_work = cluster.primary_of(&event_key(event)).await.port();
            if !moved && at_work != first.port() {
                // From a node that is not at work yet to one that is done.
                let mut left = pairs.difference(&seen).map(|pair| event_key(&pair.event));
                while let (Some(key), false) = (left.next(), moved) {
                    let own = cluster.primary_of(&key).await.port();
                    if ![at_work, first.port()].contains(&own) {
                        move_slot(&cluster, &key, first, told, Duration::ZERO).await;
                        moved = true;
                    }
                }
            }
        }
        println!("{told:?}: {pages} pages");
        assert!(moved, "no slot was moved while the scan was at work");
        let missed: Vec<_> = pairs.difference(&seen).collect();
        assert!(missed.is_empty(), "{missed:?}");
    }
}
