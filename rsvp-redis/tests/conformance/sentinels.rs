//! The Redis store keeps the contract on a primary that sentinels name.

use std::sync::atomic::{AtomicUsize, Ordering};

use rsvp_redis::{RedisConfig, RedisStore};
use rsvp_testkit::Subject;
use rsvp_testkit::servers::{RedisSentinels, RedisServer, ReplicatedRedis};
use tokio::sync::OnceCell;

const DATABASES: usize = 1024;

/// Two stores on a database of their own, as two processes would have them.
async fn fresh() -> Subject {
    static WATCHED: OnceCell<(ReplicatedRedis, RedisSentinels)> = OnceCell::const_new();
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let start = async || {
        let pair = RedisServer::builder().setting("databases", &DATABASES.to_string());
        let pair = pair.start_replicated().await;
        let sentinels = RedisSentinels::start(&pair, None).await;
        (pair, sentinels)
    };
    let (_, sentinels) = WATCHED.get_or_init(start).await;
    let database = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(database < DATABASES, "no more databases");
    let config =
        RedisConfig::from_url(&format!("{}?database={database}", sentinels.url())).unwrap();
    let store = RedisStore::open(config.clone()).await.unwrap();
    Subject::from(store).with_peer(RedisStore::open(config).await.unwrap())
}

rsvp_testkit::conformance!(fresh().await, except {
    a_store_that_cannot_write_is_not_ready => "other tests use the pair, so it is not stopped; `faults` stops servers",
    an_entry_that_fails_takes_no_other_down => "`standalone` refuses an entry; who names the primary does not matter there",
});
