//! The Redis store keeps the contract in a cluster.

use crate::support::own_keys::OwnKeys;
use rsvp_core::EventId;
use rsvp_redis::{RedisConfig, RedisStore};
use rsvp_testkit::Subject;
use rsvp_testkit::servers::RedisCluster;

/// Two stores on keys of their own, as two processes would have them, with divided events. An event
/// is refused whose keys hold no sets.
async fn fresh() -> Subject {
    let url = RedisCluster::shared().await.url();
    let keys = OwnKeys::begin("").await;
    let prefix = keys.prefix().to_owned();
    let url = format!("{url}?prefix={prefix}&event_spread=3");
    let config = RedisConfig::from_url(&url).unwrap();
    let store = RedisStore::open(config.clone()).await.unwrap();
    let refuse = async move || {
        for part in 0..3 {
            let key = format!("{prefix}:e:{{{part}:refused}}");
            RedisCluster::shared().await.command(&["SET", &key, "no set"]).await;
        }
    };
    Subject::from(store)
        .with_peer(RedisStore::open(config).await.unwrap())
        .refusing(EventId::new("refused").unwrap(), refuse)
        .holding(keys)
}

rsvp_testkit::conformance!(fresh().await, except {
    a_store_that_cannot_write_is_not_ready => "other tests use the cluster, so it is not stopped; `faults` stops nodes",
});
