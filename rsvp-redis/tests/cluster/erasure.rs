//! The removal of a user finds what the user's list has lost.

use std::time::Duration;

use crate::support::mover::{Move, Told, another};
use crate::support::{event, event_key, open, repair, user, user_key, write};
use futures_util::TryStreamExt;
use rsvp_core::{PageLimit, RsvpStore, RsvpStoreExt, Write, WriteOptions};
use rsvp_testkit::servers::RedisCluster;

const EVENTS: u32 = 600;

/// Everything that any primary has of a user.
async fn traces(cluster: &RedisCluster, name: &str) -> Vec<String> {
    let mut traces = Vec::new();
    for primary in cluster.primaries().await {
        for key in primary.command(&["KEYS", "*"]).await.lines() {
            let is_own = key.ends_with(&format!("{{{name}}}"));
            let holds =
                key.contains(":e:") && primary.command(&["SISMEMBER", key, name]).await == "1";
            if is_own || holds {
                traces.push(key.to_owned());
            }
        }
    }
    traces
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_of_a_user_finds_the_rsvps_that_the_list_has_lost() {
    let cluster = RedisCluster::start().await;
    let store = open(&cluster.url()).await;
    let own = |n: u32| n % 100 == 7;
    let rsvps =
        (0..EVENTS).map(|n| Write::rsvp(user(if own(n) { "alice" } else { "bob" }), event(n)));
    write(&store, &rsvps.collect::<Vec<_>>()).await.unwrap();
    let all = (0..EVENTS).filter(|n| own(*n)).count() as u64;
    for round in 0..3 {
        // The list loses some entries, or all of them.
        match round {
            0 => {
                drop(cluster.command(&["HDEL", &user_key(&user("alice")), "7", "107", "507"]).await)
            }
            1 => drop(cluster.command(&["DEL", &user_key(&user("alice"))]).await),
            _ => {}
        }
        let removed = store.remove_user(&user("alice")).await.unwrap().removed;
        assert_eq!(removed, all, "round {round}");
        assert_eq!(traces(&cluster, "alice").await, [""; 0]);
        assert_eq!(store.remove_user(&user("alice")).await.unwrap().removed, 0);
        assert_eq!(repair(&store).await.findings, []);
        let again = (0..EVENTS).filter(|n| own(*n)).map(|n| Write::rsvp(user("alice"), event(n)));
        write(&store, &again.collect::<Vec<_>>()).await.unwrap();
    }
    let events: Vec<_> = store.events_of(&user("bob")).try_collect().await.unwrap();
    assert_eq!(events.len() as u64, u64::from(EVENTS) - all, "others are left alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_goes_on_with_a_removal_and_slots_may_move_meanwhile() {
    let cluster = RedisCluster::start().await;
    let stores = [open(&cluster.url()).await, open(&cluster.url()).await];
    let rsvps =
        (0..EVENTS).map(|n| Write::rsvp(user(if n < 20 { "alice" } else { "bob" }), event(n)));
    write(&stores[0], &rsvps.collect::<Vec<_>>()).await.unwrap();
    cluster.command(&["DEL", &user_key(&user("alice"))]).await;
    let (mut removed, mut steps) = (0, 0);
    loop {
        let store = &stores[steps % 2];
        let limit = PageLimit::new(3).unwrap();
        let step = store.remove_user_step(&user("alice"), limit, &WriteOptions::default()).await;
        let step = step.unwrap();
        (removed, steps) = (removed + step.removed, steps + 1);
        if !step.more {
            break;
        }
        let key = event_key(&event(steps));
        let taker = another(&cluster, &key).await;
        Move::begin(&cluster, &key, taker).await.finish(Told::GiverAndTaker, Duration::ZERO).await;
    }
    println!("{steps} steps");
    assert_eq!(removed, 20);
    assert_eq!(traces(&cluster, "alice").await, [""; 0]);
}
