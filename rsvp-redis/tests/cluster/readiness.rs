//! A node that is down does not take every instance out of the balancer.

use std::time::Duration;

use crate::support::{event, open, user};
use rsvp_core::{RsvpStore, RsvpStoreExt};
use rsvp_testkit::servers::RedisServer;

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_which_a_node_is_away_is_ready_and_tells_which() {
    // Nobody takes the silent node's place in the time of this test.
    let cluster = RedisServer::builder().setting("cluster-node-timeout", "60000");
    let cluster = cluster.start_cluster().await;
    let timeouts = "response_timeout=300ms&connect_timeout=300ms";
    let store = open(&format!("{}?{timeouts}", cluster.url())).await;
    let lenient = open(&format!("{}?{timeouts}&ready=any", cluster.url())).await;
    let strict = open(&format!("{}?{timeouts}&ready=all", cluster.url())).await;
    let patient = open(&cluster.url()).await;
    strict.ready().await.unwrap();
    assert_eq!((store.health().await.parts.len(), store.health().await.down().count()), (3, 0));

    let silent = cluster.primary_of("rsvp:e:{0:1}").await;
    silent.pause().await;
    // The timeouts of this one are longer than those of a balancer.
    let patient = tokio::time::timeout(Duration::from_secs(1), patient.ready());
    patient.await.expect("an answer within the time of a balancer").unwrap();
    store.ready().await.unwrap();
    let health = store.health().await;
    let down: Vec<_> = health.down().map(|part| part.name.clone()).collect();
    assert_eq!(down, [format!("127.0.0.1:{}", silent.port())]);
    assert!(strict.ready().await.unwrap_err().is_retryable());
    assert!(store.rsvp(&user(1), &event(1)).await.is_err(), "its own entries fail");

    // Two of three are more than a half.
    let primaries = cluster.primaries().await;
    let other = primaries.iter().find(|other| other.port() != silent.port()).unwrap();
    other.pause().await;
    store.ready().await.unwrap_err();
    lenient.ready().await.unwrap();
    silent.resume().await;
    other.resume().await;
}
