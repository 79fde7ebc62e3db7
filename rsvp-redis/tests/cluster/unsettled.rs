//! Lists agree with the events again after a failed write, without a repair.

use crate::support::{event, event_key, eventually, open, user, user_key};
use rsvp_core::{Audit, Result, RsvpStore, RsvpStoreExt, Write, WriteOptions};
use rsvp_redis::RedisStore;
use rsvp_testkit::servers::RedisServer;

async fn audit(store: &RedisStore) -> Result<Audit> {
    let store: &dyn RsvpStore = store;
    store.maintenance().unwrap().audit().await
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_a_lost_node_cut_in_two_are_completed_when_it_is_back() {
    // Nobody takes the lost node's place in the time of this test.
    let cluster = RedisServer::builder().setting("cluster-node-timeout", "60000");
    let cluster = cluster.start_cluster().await;
    let timeouts = "response_timeout=500ms&connect_timeout=500ms";
    let store = open(&format!("{}?{timeouts}", cluster.url())).await;
    let lost = cluster.primary_of(&user_key(&user(1))).await;
    let mut elsewhere = Vec::new();
    for number in 0..30 {
        if cluster.primary_of(&event_key(&event(number))).await.port() != lost.port() {
            elsewhere.push(event(number));
        }
    }
    let held: Vec<Write> =
        elsewhere.iter().step_by(2).map(|event| Write::rsvp(user(1), event.clone())).collect();
    store.write_batch(&held, &WriteOptions::default()).await.unwrap();

    lost.kill().await;
    // Each second one is cancelled, the others are made.
    let change = |(number, event): (usize, &rsvp_core::EventId)| match number % 2 {
        0 => Write::cancel(user(1), event.clone()),
        _ => Write::rsvp(user(1), event.clone()),
    };
    let batch: Vec<Write> = elsewhere.iter().enumerate().map(change).collect();
    let receipt = store.write_batch(&batch, &WriteOptions::default()).await.unwrap();
    assert!(receipt.results.iter().all(|result| result.is_err()), "{receipt:?}");
    lost.start_again().await;
    eventually("the lists to agree", async || {
        audit(&store).await.is_ok_and(|audit| audit.findings.is_empty())
    })
    .await;
    for (number, event) in elsewhere.iter().enumerate() {
        assert_eq!(store.has_rsvped(&user(1), event).await.unwrap(), number % 2 == 1);
    }
}
