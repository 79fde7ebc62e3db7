//! The Redis store keeps the contract on a single server.

use rsvp_core::EventId;
use rsvp_redis::{RedisConfig, RedisStore};
use rsvp_testkit::Subject;
use rsvp_testkit::servers::RedisServer;

/// Two stores on a database of their own, as two processes would have them. An event is refused
/// whose key holds no set.
async fn fresh() -> Subject {
    let url = RedisServer::database().await;
    let config = RedisConfig::from_url(&url).unwrap();
    let store = RedisStore::open(config.clone()).await.unwrap();
    let refused = EventId::new("refused").unwrap();
    let number = url.rsplit_once('/').unwrap().1.to_owned();
    let refuse = async move || {
        let words = ["-n", &number, "SET", "rsvp:e:{0:refused}", "no set"];
        RedisServer::shared().await.command(&words).await;
    };
    Subject::from(store)
        .with_peer(RedisStore::open(config).await.unwrap())
        .refusing(refused, refuse)
}

rsvp_testkit::conformance!(fresh().await, except {
    a_store_that_cannot_write_is_not_ready => "other tests use the server, so it is not stopped; `faults` stops servers",
});
