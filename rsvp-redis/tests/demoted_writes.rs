//! A primary that is demoted while it is written to: what it has done is not done again.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests fail by panicking and print")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use rsvp_core::{Effect, Outcome, RsvpStore, Write};
use rsvp_testkit::ledger::{Writers, check};
use rsvp_testkit::servers::{RedisServer, ReplicatedRedis};
use support::{both, event, eventually, open, random};
use tokio::time::{Instant, sleep};

const ROUNDS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinated_failover_loses_nothing_and_confuses_no_outcome() {
    let mut random = random();
    let pair = ReplicatedRedis::start().await;
    let store = open(&both(&pair)).await;
    let servers = [pair.primary(), pair.replica()];
    let writers = Writers::start(Arc::new(store.clone()), 12, &mut random);
    for round in 0..6 {
        writers.acknowledge(50).await;
        // A random moment, not a wait for anything.
        sleep(Duration::from_millis(random.random_range(0..100))).await;
        coordinated(servers[round % 2], servers[(round + 1) % 2]).await;
        writers.acknowledge(50).await;
    }
    println!("{} acknowledged, {:?} without any", writers.acknowledged(), writers.longest_gap());
    check(&store, &writers.stop().await).await;
}

/// A batch of many transactions, of which some may be done when the primary is demoted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_a_demotion_cuts_in_two_is_not_repeated_as_a_whole() {
    let mut random = random();
    let pair = ReplicatedRedis::start().await;
    let store = open(&both(&pair)).await;
    let servers = [pair.primary(), pair.replica()];
    let batch = |round| -> Vec<Write> {
        let user = |number| support::user(format!("{number}/{}", "x".repeat(200)));
        (0..8_000).map(|number| Write::rsvp(user(number), event(round))).collect()
    };
    let began = Instant::now();
    store.write_batch(&batch(0)).await.unwrap();
    let undisturbed = began.elapsed();
    let mut unknown = 0;
    for round in 1..=ROUNDS {
        let batch = batch(round);
        // So that the role is asked for again.
        sleep(Duration::from_millis(110)).await;
        let writing = async {
            loop {
                match store.write_batch(&batch).await {
                    Ok(receipt) => break Some(receipt.outcomes),
                    Err(error) if error.effect() == Effect::Unknown => break None,
                    Err(error) => assert!(error.is_retryable(), "{error:?}"),
                }
            }
        };
        let moment = undisturbed.mul_f64(random.random_range(0.3..1.0));
        let demoting = async {
            sleep(moment).await;
            let [from, to] = [servers[(round + 1) % 2], servers[round % 2]];
            let port = to.port().to_string();
            from.command(&["REPLICAOF", "127.0.0.1", &port]).await;
            to.command(&["REPLICAOF", "NO", "ONE"]).await;
            handed_over(from, to).await;
        };
        let (outcomes, ()) = tokio::join!(writing, demoting);
        unknown += usize::from(outcomes.is_none());
        let wrong = outcomes.iter().flatten().filter(|done| **done != Outcome::Applied).count();
        assert_eq!(wrong, 0, "wrong outcomes of new pairs; round {round}, after {moment:?}");
    }
    println!("{unknown} of {ROUNDS} batches, of {undisturbed:?} each, had an unknown effect");
}

/// Hands over from one server to the other without losing a write.
async fn coordinated(from: &RedisServer, to: &RedisServer) {
    from.command(&["FAILOVER"]).await;
    handed_over(from, to).await;
}

async fn handed_over(from: &RedisServer, to: &RedisServer) {
    eventually("the hand-over", async || {
        let [old, new] = [from.command(&["ROLE"]).await, to.command(&["ROLE"]).await];
        old.starts_with("slave") && old.contains("connected") && new.starts_with("master")
    })
    .await;
}
