//! A batch of which a node does not take its share.

use std::collections::HashMap;

use crate::support::{event, event_key, eventually, open, repair, user, user_key, write};
use futures_util::TryStreamExt;
use rsvp_core::{
    Effect, EventId, ReadOptions, Rsvp, RsvpStore, RsvpStoreExt, UserId, Write, WriteOptions,
};
use rsvp_testkit::servers::{RedisCluster, RedisServer};

/// Whether a node owns a key.
async fn owns(cluster: &RedisCluster, node: &RedisServer, key: &str) -> bool {
    cluster.primary_of(key).await.port() == node.port()
}

/// The pairs of some events and users, with whether a node owns the key of the event, and whether
/// it owns that of the user.
async fn pairs(cluster: &RedisCluster, node: &RedisServer) -> Vec<(Rsvp, bool, bool)> {
    let (mut of_events, mut of_users) = (HashMap::new(), HashMap::new());
    for number in 0..8 {
        let (event, user) = (event(number), user(number));
        of_events.insert(event.clone(), owns(cluster, node, &event_key(&event)).await);
        of_users.insert(user.clone(), owns(cluster, node, &user_key(&user)).await);
    }
    let mut pairs = Vec::new();
    for (event, of_event) in &of_events {
        for (user, of_user) in &of_users {
            pairs.push((Rsvp::new(user.clone(), event.clone()), *of_event, *of_user));
        }
    }
    let kinds = |event, user| pairs.iter().filter(|one| (one.1, one.2) == (event, user)).count();
    let all = [kinds(true, true), kinds(true, false), kinds(false, true), kinds(false, false)];
    assert!(all.iter().all(|count| *count > 0), "{all:?}");
    pairs
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_the_entries_of_a_silent_node_fail() {
    // Nobody takes the silent node's place in the time of this test.
    let cluster = RedisServer::builder().setting("cluster-node-timeout", "30000");
    let cluster = cluster.start_cluster().await;
    let timeouts = "response_timeout=500ms&connect_timeout=500ms";
    let store = open(&format!("{}?{timeouts}", cluster.url())).await;
    let silent = cluster.primary_of("rsvp:e:{0:0}").await;
    let pairs = pairs(&cluster, silent).await;
    let rsvp = |(pair, ..): &(Rsvp, bool, bool)| Write::rsvp(pair.user.clone(), pair.event.clone());
    let batch: Vec<Write> = pairs.iter().map(rsvp).collect();
    store.ready().await.unwrap();

    silent.pause().await;
    let receipt = store.write_batch(&batch, &WriteOptions::default()).await.unwrap();
    for ((pair, of_event, of_user), result) in pairs.iter().zip(&receipt.results) {
        assert_eq!(result.is_err(), *of_event || *of_user, "{pair:?}: {result:?}");
        let Err(error) = result else { continue };
        assert!(error.is_retryable(), "{error:?}");
        // The silent node may still do what it was sent, as it says.
        assert!(!error.effect().is_settled() || !*of_event, "{error:?}");
        assert_ne!(error.effect(), Effect::NotApplied, "{error:?}");
    }
    // Reads likewise. An RSVP whose event is elsewhere holds, whether or not its user's list has it.
    let asked: Vec<Rsvp> = pairs.iter().map(|(pair, ..)| pair.clone()).collect();
    let held = store.has_rsvped_batch(&asked, &ReadOptions::strong()).await.unwrap();
    for ((pair, of_event, _), held) in pairs.iter().zip(held) {
        assert_eq!(held.ok(), (!of_event).then_some(true), "{pair:?}");
    }
    let events: Vec<EventId> = (0..8).map(event).collect();
    let counts = store.rsvp_count_batch(&events, &ReadOptions::strong()).await.unwrap();
    for (event, count) in events.iter().zip(counts) {
        let of_event = pairs.iter().any(|(pair, of_event, _)| pair.event == *event && *of_event);
        assert_eq!(count.ok().map(|count| count.value), (!of_event).then_some(8), "{event:?}");
    }
    // What the other nodes took is in both directions.
    let elsewhere = |user: &UserId, of: fn(&(Rsvp, bool, bool)) -> bool| {
        pairs.iter().filter(|one| one.0.user == *user && of(one)).count()
    };
    for user in (0..8).map(user) {
        if elsewhere(&user, |one| one.2) == 0 {
            let listed: Vec<_> = store.events_of(&user).try_collect().await.unwrap();
            assert_eq!(listed.len(), elsewhere(&user, |one| !one.1), "{listed:?}");
        }
    }

    silent.resume().await;
    eventually("the node to answer", async || store.ready().await.is_ok()).await;
    write(&store, &batch).await.unwrap();
    let report = repair(&store).await;
    assert_eq!((report.findings.len(), report.checked), (0, 2 * batch.len() as u64));
}
