//! In a cluster the user index is synced with the truth, also where writers race.

use std::collections::BTreeSet;

use crate::support::{event, open, prefix, random, user};
use futures_util::TryStreamExt;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rsvp_core::{Rsvp, RsvpStoreExt};
use rsvp_redis::RedisStore;
use rsvp_testkit::servers::RedisCluster;
use tokio::task::JoinSet;

const USERS: u32 = 2;
const EVENTS: u32 = 2;
const WRITERS: usize = 32;
const WRITES: usize = 20;

async fn race(stores: &[RedisStore; 2], random: &mut StdRng) {
    let mut writers = JoinSet::new();
    for (number, store) in stores.iter().cycle().take(WRITERS).enumerate() {
        let (store, seed) = (store.clone(), random.random::<u64>() ^ number as u64);
        writers.spawn(async move {
            let mut random = StdRng::seed_from_u64(seed);
            for _ in 0..WRITES {
                let user = user(random.random_range(0..USERS));
                let event = event(random.random_range(0..EVENTS));
                match random.random_bool(0.5) {
                    true => store.rsvp(&user, &event).await.unwrap(),
                    false => store.cancel(&user, &event).await.unwrap(),
                };
            }
        });
    }
    writers.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn both_directions_agree_after_writers_have_raced_for_the_same_pairs() {
    let mut random = random();
    let url = format!("{}?prefix={}", RedisCluster::shared().await.url(), prefix());
    let stores = [open(&url).await, open(&url).await];
    for round in 0..30 {
        race(&stores, &mut random).await;
        let store = &stores[0];
        let (mut by_event, mut by_user) = (BTreeSet::new(), BTreeSet::new());
        for event in (0..EVENTS).map(event) {
            let users: Vec<_> = store.attendees(&event).try_collect().await.unwrap();
            by_event.extend(users.into_iter().map(|user| Rsvp::new(user, event.clone())));
        }
        for user in (0..USERS).map(user) {
            let events: Vec<_> = store.events_of(&user).try_collect().await.unwrap();
            by_user.extend(events.into_iter().map(|event| Rsvp::new(user.clone(), event)));
        }
        assert_eq!(by_user, by_event, "round {round}");
    }
}
