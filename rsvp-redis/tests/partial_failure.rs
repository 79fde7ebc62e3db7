//! A batch of which a part cannot be done: the rest is done in both directions.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests fail by panicking and print")]

mod support;

use std::collections::BTreeSet;

use rsvp_core::{Consistency, Effect, RsvpStore, RsvpStoreExt, Write};
use rsvp_testkit::servers::{RedisCluster, RedisServer};
use support::{event, event_key, open, user, user_key};

/// Whether `server` serves a key.
async fn serves(cluster: &RedisCluster, server: &RedisServer, key: &str) -> bool {
    cluster.primary_of(key).await.port() == server.port()
}

/// The caller never repeats it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_failed_batch_has_done_shows_in_both_directions() {
    let cluster = RedisCluster::start().await;
    let store = open(&cluster.url()).await;
    let lost = cluster.primary_of(&event_key(&event(0))).await;
    let (mut dead, mut alive, mut users) = (Vec::new(), Vec::new(), Vec::new());
    for (event, user) in (0..20).map(|number| (event(number), user(number))) {
        match serves(&cluster, lost, &event_key(&event)).await {
            true => dead.push(event),
            false => alive.push(event),
        }
        if !serves(&cluster, lost, &user_key(&user)).await {
            users.push(user);
        }
    }
    lost.kill().await;
    let mut batch = vec![Write::rsvp(users[0].clone(), dead[0].clone())];
    for user in &users {
        batch.extend(alive.iter().map(|event| Write::rsvp(user.clone(), event.clone())));
    }
    let error = store.write_batch(&batch).await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    assert_eq!(error.effect(), Effect::Unknown);
    let pairs: Vec<_> = batch[1..].iter().map(|write| write.rsvp.clone()).collect();
    let held = store.has_rsvped_batch(&pairs, &Consistency::Strong).await.unwrap();
    assert_eq!(held, vec![true; pairs.len()], "what could be done has been done");
    for user in &users {
        let page = store.events_of_page(user, &Default::default()).await.unwrap();
        assert_eq!(BTreeSet::from_iter(page.items), BTreeSet::from_iter(alive.clone()), "{user}");
    }
    cluster.wait_replaced(lost).await;
    store.write_batch(&batch).await.unwrap();
    assert!(store.has_rsvped(&users[0], &dead[0]).await.unwrap());
    let report = store.reconcile().await.unwrap();
    assert_eq!((report.missing, report.left_over), (0, 0), "nothing is left to mend");
}
