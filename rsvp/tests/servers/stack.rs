//! The whole stack over four stores on one real server: it keeps the contract,
//! counts exactly under a rush, and serves no count that is too old.

use std::sync::Arc;
use std::time::Duration;

use rsvp::layers::{CoalesceConfig, CountCacheConfig, LayerExt, RetryConfig, Shard, ShardedStore};
use rsvp::{Consistency, EventId, RsvpStore, RsvpStoreExt, UserId, WriteOptions};
use rsvp_testkit::Subject;
use rsvp_testkit::staleness::measure;

/// Four stores at these URLs as one, with everything around them.
async fn stack(urls: &[String; 4]) -> Arc<dyn RsvpStore> {
    let mut shards = Vec::new();
    for (n, url) in (1..).zip(urls) {
        shards.push(Shard::new(&format!("s{n}"), rsvp::open(url).await.unwrap()));
    }
    let sharded = ShardedStore::new(shards, 2).unwrap();
    sharded.verify_placement(&WriteOptions::default()).await.unwrap();
    let retried = sharded.with_retry(RetryConfig::default()).unwrap();
    let coalesced = retried.with_coalescing(CoalesceConfig::default()).unwrap();
    Arc::new(coalesced.with_count_cache(CountCacheConfig::default()).unwrap())
}

/// Two stacks on the same data, as two processes would have them.
async fn two(urls: &[String; 4]) -> [Arc<dyn RsvpStore>; 2] {
    [stack(urls).await, stack(urls).await]
}

async fn subject(urls: [String; 4]) -> Subject {
    let [store, peer] = two(&urls).await;
    Subject::from(store).with_peer(peer)
}

/// 10,000 users at once, on one event.
async fn a_rush_is_counted_exactly(urls: [String; 4]) {
    let stores = two(&urls).await;
    let event = EventId::new("the concert").unwrap();
    let calls = (0..10_000_u32).zip(stores.iter().cycle()).map(|(n, store)| {
        let (store, event) = (store.clone(), event.clone());
        tokio::spawn(async move { store.rsvp(&UserId::from(n), &event).await.unwrap() })
    });
    for call in calls.collect::<Vec<_>>() {
        assert!(call.await.unwrap().outcome.is_applied());
    }
    for store in stores {
        let count = store.rsvp_count_with(&event, Consistency::Strong).await.unwrap();
        assert_eq!(count.value, 10_000);
    }
}

async fn no_count_is_too_old(urls: [String; 4]) {
    let bounds = [20, 100, 1000].map(Duration::from_millis);
    println!("{}", measure(two(&urls).await, &bounds, 1_000_000).await);
}

#[cfg(feature = "postgres")]
mod postgres {
    use rsvp_testkit::servers::PostgresServer;

    /// Four schemas of a database of its own.
    async fn urls() -> [String; 4] {
        let url = PostgresServer::shared().await.create_database().await;
        [1, 2, 3, 4].map(|n| format!("{url}?migrate=true&schema=s{n}&pool_size=2"))
    }

    rsvp_testkit::conformance!(super::subject(urls().await).await, except {
        a_store_that_cannot_write_is_not_ready => "other tests use the server, so it is not stopped",
        an_entry_that_fails_takes_no_other_down => "no id is refused by the server; the backend's own tests refuse one",
    });

    #[tokio::test(flavor = "multi_thread")]
    async fn a_rush_is_counted_exactly() {
        super::a_rush_is_counted_exactly(urls().await).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn no_count_is_too_old() {
        super::no_count_is_too_old(urls().await).await;
    }
}

#[cfg(feature = "redis")]
mod redis {
    use rsvp_testkit::servers::RedisServer;

    /// Four prefixes of a database of its own.
    async fn urls() -> [String; 4] {
        let url = RedisServer::database().await;
        [1, 2, 3, 4].map(|n| format!("{url}?prefix=s{n}"))
    }

    rsvp_testkit::conformance!(super::subject(urls().await).await, except {
        a_store_that_cannot_write_is_not_ready => "other tests use the server, so it is not stopped",
        an_entry_that_fails_takes_no_other_down => "no id is refused by the server; the backend's own tests refuse one",
    });

    #[tokio::test(flavor = "multi_thread")]
    async fn a_rush_is_counted_exactly() {
        super::a_rush_is_counted_exactly(urls().await).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn no_count_is_too_old() {
        super::no_count_is_too_old(urls().await).await;
    }
}
