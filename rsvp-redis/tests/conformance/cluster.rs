//! The Redis store keeps the contract in a cluster.

use rsvp_redis::{RedisConfig, RedisStore};
use rsvp_testkit::Subject;
use rsvp_testkit::servers::RedisCluster;

/// Two stores on keys of their own, as two processes would have them, with divided events.
async fn fresh() -> Subject {
    let url = RedisCluster::shared().await.url();
    let url = format!("{url}?prefix={}&event_spread=3", crate::support::prefix());
    let config = RedisConfig::from_url(&url).unwrap();
    let store = RedisStore::open(config.clone()).await.unwrap();
    Subject::from(store).with_peer(RedisStore::open(config).await.unwrap())
}

rsvp_testkit::conformance!(fresh().await);
