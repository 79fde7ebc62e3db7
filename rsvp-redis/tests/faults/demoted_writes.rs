//! A primary that is demoted while it is written to: a write that it has executed is not repeated.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{LIMIT, both, event, eventually, open, random, user, write};
use futures_util::future::join_all;
use rand::Rng;
use rsvp_core::{Effect, Outcome, Write};
use rsvp_redis::RedisStore;
use rsvp_testkit::ledger::{Writers, check};
use rsvp_testkit::servers::{RedisServer, ReplicatedRedis};
use tokio::time::{Instant, sleep};

const ROUNDS: usize = 12;
/// Batches, each on a connection of its own.
const AT_ONCE: usize = 4;

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

/// The outcomes of a batch; none if its effect is unknown.
async fn outcomes(store: &RedisStore, batch: &[Write]) -> Option<Vec<Outcome>> {
    let began = Instant::now();
    loop {
        match write(store, batch).await {
            Ok(outcomes) => return Some(outcomes),
            Err(error) if error.effect() == Effect::Unknown => return None,
            Err(error) => assert!(error.is_retryable() && began.elapsed() < LIMIT, "{error:?}"),
        }
    }
}

/// Batches of many transactions, of which some may be done when the primary is demoted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_a_demotion_cuts_in_two_is_not_repeated_as_a_whole() {
    let mut random = random();
    let pair = ReplicatedRedis::start().await;
    let store = open(&format!("{}?connections={AT_ONCE}", both(&pair))).await;
    let servers = [pair.primary(), pair.replica()];
    let batches = |round| -> Vec<Vec<Write>> {
        let user = |number| user(format!("{number}/{}", "x".repeat(200)));
        let batch = |name| (0..4_000).map(move |n| Write::rsvp(user(n), event(&name)));
        (0..AT_ONCE).map(|own| batch(format!("{round}/{own}")).collect()).collect()
    };
    let mut undisturbed = Duration::ZERO;
    let mut unknown = 0;
    for round in 0..=ROUNDS {
        let batches = batches(round);
        // So that each connection asks for the role again.
        sleep(Duration::from_millis(110)).await;
        let began = Instant::now();
        let writing = join_all(batches.iter().map(|batch| outcomes(&store, batch)));
        if round == 0 {
            writing.await;
            undisturbed = began.elapsed();
            continue;
        }
        let moment = undisturbed.mul_f64(random.random_range(0.4..1.0));
        let demoting = async {
            sleep(moment).await;
            let [from, to] = [servers[(round + 1) % 2], servers[round % 2]];
            let port = to.port().to_string();
            from.command(&["REPLICAOF", "127.0.0.1", &port]).await;
            to.command(&["REPLICAOF", "NO", "ONE"]).await;
            handed_over(from, to).await;
        };
        let (outcomes, ()) = tokio::join!(writing, demoting);
        unknown += outcomes.iter().filter(|outcomes| outcomes.is_none()).count();
        let mut outcomes = outcomes.iter().flatten().flatten();
        let right = outcomes.all(|outcome| *outcome == Outcome::Applied);
        assert!(right, "outcomes of new pairs in round {round}, after {moment:?}");
    }
    println!("{unknown} of {} batches had an unknown effect", ROUNDS * AT_ONCE);
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
