//! A host that gives up its calls long before the store's timeouts still leaves a silent server.

use std::time::Duration;

use crate::support::{event, eventually, open, user};
use rsvp_core::RsvpStoreExt;
use rsvp_testkit::servers::RedisCluster;
use tokio::time::{Instant, timeout};

/// Far below the response timeout of 2 s and the connect timeout of 1 s.
const PATIENCE: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_that_are_given_up_early_still_find_the_promoted_primary() {
    let cluster = RedisCluster::start().await;
    let store = open(&cluster.url()).await;
    store.rsvp(&user("ann"), &event("fair")).await.unwrap();
    let primary = cluster.primary_of("rsvp:e:{0:fair}").await;
    primary.pause().await;
    let read = async || {
        let answer = timeout(PATIENCE, store.has_rsvped(&user("ann"), &event("fair"))).await;
        matches!(answer, Ok(Ok(_)))
    };
    assert!(!read().await, "the server is silent");
    // Only such reads are made, also while the cluster has not promoted anybody yet.
    let promoted = cluster.wait_replaced(primary);
    let reading = async {
        loop {
            read().await;
        }
    };
    tokio::select! {
        () = promoted => {}
        () = reading => {}
    }
    let began = Instant::now();
    eventually("a read to be answered", read).await;
    println!("answered {:?} after the promotion", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(10));
    primary.resume().await;
}
