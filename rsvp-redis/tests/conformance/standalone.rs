//! The Redis store keeps the contract on a single server.

use rsvp_redis::{RedisConfig, RedisStore};
use rsvp_testkit::Subject;
use rsvp_testkit::servers::RedisServer;

/// Two stores on keys of their own, as two processes would have them.
async fn fresh() -> Subject {
    let url = RedisServer::shared().await.url();
    let config =
        RedisConfig::from_url(&format!("{url}?prefix={}", crate::support::prefix())).unwrap();
    let store = RedisStore::open(config.clone()).await.unwrap();
    Subject::from(store).with_peer(RedisStore::open(config).await.unwrap())
}

rsvp_testkit::conformance!(fresh().await);
