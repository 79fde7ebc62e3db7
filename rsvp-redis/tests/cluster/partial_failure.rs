//! A batch of which a node does not take its share.

use crate::support::{event, eventually, open, user};
use futures_util::TryStreamExt;
use rsvp_core::{Effect, Rsvp, RsvpStore, RsvpStoreExt, Write};
use rsvp_testkit::servers::{RedisCluster, RedisServer};

/// The first numbers whose key is not at a node.
async fn elsewhere(cluster: &RedisCluster, node: &RedisServer, key: &str) -> Vec<u64> {
    let mut numbers = Vec::new();
    for number in 0..100 {
        let key = key.replace("ID", &number.to_string());
        if cluster.primary_of(&key).await.port() != node.port() {
            numbers.push(number);
        }
        if numbers.len() == 4 {
            break;
        }
    }
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_other_nodes_took_of_a_failed_batch_is_in_both_directions() {
    // Nobody takes the silent node's place in the time of this test.
    let cluster = RedisServer::builder().setting("cluster-node-timeout", "30000");
    let cluster = cluster.start_cluster().await;
    let timeouts = "response_timeout=500ms&connect_timeout=500ms";
    let store = open(&format!("{}?{timeouts}", cluster.url())).await;
    let silent = cluster.primary_of("rsvp:e:{0:silent}").await;
    let events = elsewhere(&cluster, silent, "rsvp:e:{0:ID}").await;
    let users = elsewhere(&cluster, silent, "rsvp:u:{ID}").await;
    let pairs =
        users.iter().flat_map(|n| events.iter().map(move |event_n| (user(n), event(event_n))));
    let pairs: Vec<Rsvp> = pairs.map(|(user, event)| Rsvp::new(user, event)).collect();
    let mut batch: Vec<_> =
        pairs.iter().map(|pair| Write::rsvp(pair.user.clone(), pair.event.clone())).collect();
    batch.extend(users.iter().map(|n| Write::rsvp(user(n), event("silent"))));
    store.ready().await.unwrap();

    silent.pause().await;
    let error = store.write_batch(&batch).await.unwrap_err();
    assert!(error.is_retryable() && error.effect() == Effect::Unknown, "{error:?}");
    let held = store.has_rsvped_batch(&pairs, &Default::default()).await.unwrap();
    assert!(held.iter().all(|held| *held), "{held:?}");
    for n in &users {
        let listed: Vec<_> = store.events_of(&user(n)).try_collect().await.unwrap();
        assert_eq!(listed.len(), events.len(), "{listed:?}");
    }

    silent.resume().await;
    eventually("the node to answer", async || store.ready().await.is_ok()).await;
    store.write_batch(&batch).await.unwrap();
    let report = store.repair().await.unwrap();
    assert_eq!((report.missing, report.left_over), (0, 0), "{report:?}");
    assert_eq!(report.checked, 2 * batch.len() as u64);
}
