//! A cluster that loses a primary goes on: at once where it was not needed, and everywhere after
//! the promotion.

use std::sync::Arc;
use std::time::Duration;

use crate::support::prober::Prober;
use crate::support::{assert_repairable, event, event_key, eventually, open, random, user};
use rsvp_core::RsvpStoreExt;
use rsvp_redis::RedisStore;
use rsvp_testkit::ledger::{Writers, lost};
use rsvp_testkit::servers::{RedisCluster, RedisServer};
use tokio::time::Instant;

const FAILOVERS: usize = 3;
/// The longest that a call to a slot may take whose primary is well.
const UNDISTURBED: Duration = Duration::from_millis(1_500);
/// From when all nodes agree on a promotion until a call to one of its slots has succeeded, at most:
/// a call under way times out, another fails to connect, the next one asks for the slot's new owner.
const BACK: Duration = Duration::from_secs(5);

/// The one that serves the event of all writers that is named by its number.
async fn victim(cluster: &RedisCluster, number: usize) -> &RedisServer {
    cluster.primary_of(&event_key(&event(number))).await
}

/// Waits for calls to the slot of an event to succeed; how long it took.
async fn until_served(store: &RedisStore, number: usize) -> Duration {
    let began = Instant::now();
    let (user, event) = (user("nobody"), event(number));
    eventually("calls to be served", async || match store.has_rsvped(&user, &event).await {
        Ok(held) => !held,
        Err(error) => {
            assert!(error.is_retryable(), "{error:?}");
            false
        }
    })
    .await;
    began.elapsed()
}

async fn fail_over_three_times(parameters: &str) {
    let mut random = random();
    let cluster = RedisCluster::start().await;
    let store = open(&format!("{}?{parameters}", cluster.url())).await;
    let writers = Writers::start_forgiving(Arc::new(store.clone()), 12, &mut random);
    for number in 1..=FAILOVERS {
        writers.acknowledge(50).await;
        writers.longest_gap();
        let victim = victim(&cluster, number).await;
        let prober = Prober::start(&store, &cluster, victim).await;
        let killed = Instant::now();
        victim.kill().await;
        cluster.wait_replaced(victim).await;
        let promoted = killed.elapsed();
        let back = until_served(&store, number).await;
        let slowest = prober.stop().await;
        victim.start_again().await;
        cluster.wait_healthy().await;
        writers.acknowledge(50).await;
        println!(
            "failover {number}: promoted after {promoted:?}, served {back:?} later, {:?} without \
             an acknowledged write",
            writers.longest_gap()
        );
        assert!(slowest < UNDISTURBED, "a call to another slot took {slowest:?}");
        assert!(back < BACK, "calls were served {back:?} after the promotion");
    }
    let acknowledged = writers.acknowledged();
    let ledger = writers.stop().await;
    println!(
        "{parameters}: {acknowledged} writes acknowledged over {FAILOVERS} failovers, {} of {} \
         known pairs lost",
        lost(&store, &ledger).await,
        ledger.known()
    );
    assert_repairable(&store, &ledger).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_primary_is_left_for_the_promoted_one_and_other_slots_go_on_meanwhile() {
    fail_over_three_times("wait_replicas=0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_primary_is_left_also_by_writes_that_wait_for_replicas() {
    fail_over_three_times("wait_replicas=1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_hangs_is_left_while_it_still_hangs() {
    let mut random = random();
    let cluster = RedisCluster::start().await;
    let store = open(&cluster.url()).await;
    let writers = Writers::start_forgiving(Arc::new(store.clone()), 12, &mut random);
    writers.acknowledge(50).await;
    writers.longest_gap();
    let victim = victim(&cluster, 0).await;
    let prober = Prober::start(&store, &cluster, victim).await;
    victim.pause().await;
    cluster.wait_replaced(victim).await;
    let back = until_served(&store, 0).await;
    let slowest = prober.stop().await;
    // Also writers to every slot.
    let began = Instant::now();
    writers.acknowledge(500).await;
    println!(
        "served {back:?} after the promotion, 500 more writes took {:?}, {:?} without any",
        began.elapsed(),
        writers.longest_gap()
    );
    assert!(slowest < UNDISTURBED, "a call to another slot took {slowest:?}");
    assert!(back < BACK, "calls were served {back:?} after the promotion");
    assert!(began.elapsed() < BACK, "writers went on after {:?}", began.elapsed());
    victim.resume().await;
    cluster.wait_healthy().await;
    writers.acknowledge(50).await;
    let ledger = writers.stop().await;
    println!("{} of {} known pairs lost", lost(&store, &ledger).await, ledger.known());
    assert_repairable(&store, &ledger).await;
}
