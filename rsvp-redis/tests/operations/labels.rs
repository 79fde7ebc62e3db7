//! Labels: one of several writers that expect the same replaces a label.

use crate::support::{event, open, prefix, user};
use rsvp_core::{Label, LabelName, ReadOptions, RsvpStore, RsvpStoreExt, WriteOptions};
use rsvp_redis::RedisStore;
use rsvp_testkit::servers::{RedisCluster, RedisServer};
use tokio::task::JoinSet;

const WRITERS: usize = 16;
const ROUNDS: usize = 20;

fn label(value: impl std::fmt::Display) -> Label {
    Label::new(value.to_string()).unwrap()
}

async fn read(store: &RedisStore, name: &LabelName) -> Option<Label> {
    store.label(name, &ReadOptions::strong()).await.unwrap()
}

async fn one_of_many_wins(url: &str) {
    let url = format!("{url}?prefix={}&connect_timeout=20s", prefix());
    let stores = [open(&url).await, open(&url).await];
    for name in ["shard", "placement"].map(|name| LabelName::new(name).unwrap()) {
        let mut held = None;
        for round in 0..ROUNDS {
            let mut writers = JoinSet::new();
            for (writer, store) in stores.iter().cycle().take(WRITERS).enumerate() {
                let (store, name, expected) = (store.clone(), name.clone(), held.clone());
                writers.spawn(async move {
                    let (value, options) = (label(writer + 100 * round), WriteOptions::default());
                    let before = store.replace_label(&name, expected.as_ref(), &value, &options);
                    let before = before.await.unwrap();
                    (value, before)
                });
            }
            let answers = writers.join_all().await;
            let mut won = answers.iter().filter(|(_, before)| *before == held);
            let winner = won.next().map(|(value, _)| value.clone());
            assert!(winner.is_some() && won.next().is_none(), "round {round}: {answers:?}");
            for (value, before) in &answers {
                assert!(*before == held || *before == winner, "{value:?}: {before:?}");
            }
            for store in &stores {
                assert_eq!(read(store, &name).await, winner);
            }
            held = winner;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_one_server_one_of_many_writers_replaces_a_label() {
    one_of_many_wins(&RedisServer::shared().await.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_cluster_one_of_many_writers_replaces_a_label() {
    one_of_many_wins(&RedisCluster::shared().await.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_outlives_events_and_users_and_any_value_comes_back() {
    for url in [RedisServer::shared().await.url(), RedisCluster::shared().await.url()] {
        let store = open(&format!("{url}?prefix={}", prefix())).await;
        let (name, other) = (LabelName::new("a").unwrap(), LabelName::new("b").unwrap());
        assert_eq!(read(&store, &name).await, None);
        let options = WriteOptions::default();
        let replace = async |expected: Option<&Label>, value: &Label| {
            store.replace_label(&name, expected, value, &options).await.unwrap()
        };
        let (long, strange) = (label("é".repeat(8_192)), label("{}% \"'* 🎉"));
        assert_eq!(replace(Some(&long), &strange).await, None, "it was not there");
        assert_eq!(read(&store, &name).await, None);
        assert_eq!(replace(None, &long).await, None);
        assert_eq!(replace(None, &strange).await, Some(long.clone()), "it was there");
        assert_eq!(replace(Some(&long), &strange).await, Some(long.clone()));
        store.rsvp(&user("a"), &event("a")).await.unwrap();
        store.remove_event(&event("a")).await.unwrap();
        store.remove_user(&user("a")).await.unwrap();
        assert_eq!(read(&store, &name).await, Some(strange));
        assert_eq!(read(&store, &other).await, None);
    }
}
