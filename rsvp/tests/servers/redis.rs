//! `open` on real Redis servers.

use rsvp::{EventId, RsvpStore, RsvpStoreExt, UserId};
use rsvp_testkit::servers::{RedisCluster, RedisServer};

async fn two_stores_share(url: &str) {
    let first = rsvp::open(url).await.unwrap();
    let second = rsvp::open(url).await.unwrap();
    let (user, event) = (UserId::from(1), EventId::from(2));
    assert!(first.rsvp(&user, &event).await.unwrap().outcome.is_applied());
    assert!(second.has_rsvped(&user, &event).await.unwrap());
    second.ready().await.unwrap();
}

#[tokio::test]
async fn a_redis_url_opens_a_store_that_others_share() {
    let url = RedisServer::shared().await.url();
    two_stores_share(&url).await;
    let other = rsvp::open(&format!("{url}?event_spread=2")).await.unwrap_err().to_string();
    assert!(other.starts_with("invalid event_spread: is not that of the data"), "{other}");
    let other = rsvp::open(&url.replace("redis:", "redis+cluster:")).await;
    assert!(!other.unwrap_err().is_retryable(), "not a cluster");
}

#[tokio::test]
async fn a_cluster_url_opens_a_store_that_others_share() {
    let url = RedisCluster::shared().await.url();
    two_stores_share(&format!("{url}?event_spread=4&prefix=open")).await;
    let other = rsvp::open(&url.replace("redis+cluster:", "redis:")).await;
    assert!(!other.unwrap_err().is_retryable(), "a cluster");
}

#[tokio::test]
async fn a_store_opened_by_url_is_audited_through_its_layers() {
    let url = RedisCluster::shared().await.url();
    let layers = "timeout=9s&retry=9s&coalesce=true&count_cache=5s&deadline=20s";
    let store = rsvp::open(&format!("{url}?prefix=audited&{layers}")).await.unwrap();
    for user in (0..20_u32).map(UserId::from) {
        store.rsvp(&user, &EventId::from(1)).await.unwrap();
    }
    let audit = store.maintenance().unwrap().audit().await.unwrap();
    assert!(audit.checked > 0 && audit.findings.is_empty(), "{audit:?}");
    store.close().await.unwrap();
}

#[tokio::test]
async fn shards_are_opened_again_with_their_placement_only() {
    let url = RedisServer::database().await;
    let both = format!("s1={url}?prefix=s1 s2={url}?prefix=s2");
    rsvp::open(&both).await.unwrap();
    rsvp::open(&both).await.unwrap();
    let other = rsvp::open(&format!("{both} ?spread=2")).await.unwrap_err().to_string();
    assert!(other.contains("the spread is 2, stored is 1"), "{other}");
    rsvp::open(&format!("{both} ?spread=2&placement=accept")).await.unwrap();
    rsvp::open(&format!("{both} ?spread=2")).await.unwrap();
}
