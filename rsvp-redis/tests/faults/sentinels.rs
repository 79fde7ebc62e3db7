//! Sentinels say which server is the primary.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use crate::support::{assert_repairable, config, event, eventually, open, random, user};
use rsvp_core::{Outcome, RsvpStore, RsvpStoreExt};
use rsvp_redis::RedisStore;
use rsvp_testkit::ledger::Writers;
use rsvp_testkit::servers::{RedisSentinels, ReplicatedRedis};
use tokio::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn the_store_follows_a_failover_of_sentinels_and_no_fresh_one_takes_the_old_primary() {
    let mut random = random();
    let pair = ReplicatedRedis::start().await;
    let sentinels = RedisSentinels::start(&pair, None).await;
    let store = open(&sentinels.url()).await;
    let writers = Writers::start_forgiving(Arc::new(store.clone()), 8, &mut random);
    for round in 1..=2 {
        writers.acknowledge(50).await;
        writers.longest_gap();
        pair.primary().kill().await;
        pair.wait_promoted().await;
        writers.acknowledge(50).await;
        println!("failover {round}: {:?} without any", writers.longest_gap());
        // The old primary is back before a sentinel tells it to follow.
        pair.replica().start_again().await;
        let fresh = open(&sentinels.url()).await;
        let own = user(format!("fresh{round}"));
        assert_eq!(fresh.rsvp(&own, &event("f")).await.unwrap().outcome, Outcome::Applied);
        let held = pair.primary().command(&["SISMEMBER", "rsvp:e:{0:f}", own.as_str()]).await;
        assert_eq!(held, "1");
        pair.wait_followed().await;
        store.ready().await.unwrap();
    }
    let ledger = writers.stop().await;
    assert_repairable(&store, &ledger).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sentinel_that_is_silent_or_was_cut_off_does_not_decide() {
    let pair = ReplicatedRedis::start().await;
    let sentinels = RedisSentinels::start(&pair, Some("hunter2")).await;
    sentinels.pause(0).await;
    let began = Instant::now();
    let store = open(&sentinels.url()).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    store.rsvp(&user(1), &event(1)).await.unwrap();
    pair.wait_caught_up().await;
    pair.primary().kill().await;
    pair.wait_promoted().await;
    // The first sentinel still knows the old primary for a moment.
    sentinels.resume(0).await;
    pair.replica().start_again().await;
    eventually("the promoted server", async || {
        let Ok(fresh) = RedisStore::open(config(&sentinels.url())).await else { return false };
        fresh.rsvp(&user(2), &event(1)).await.is_ok()
    })
    .await;
    let held = pair.primary().command(&["SISMEMBER", "rsvp:e:{0:1}", "2"]).await;
    assert_eq!(held, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_sentinels_is_said() {
    let pair = ReplicatedRedis::start().await;
    let sentinels = RedisSentinels::start(&pair, Some("hunter2")).await;
    let refused = async |url: String| {
        let error = RedisStore::open(config(&url)).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2") && !error.is_retryable(), "{shown}");
        error.source().unwrap().to_string()
    };
    let other = sentinels.url().replace("/tickets", "/other");
    assert!(refused(other).await.contains("no sentinel that answers watches"), "the name");
    let anonymous = sentinels.url().replace("?sentinel_password=hunter2", "");
    assert!(refused(anonymous).await.contains("NOAUTH"), "the password");
    let swapped = pair.primary().url().replace("redis://", "redis+sentinel://") + "tickets";
    assert!(!refused(swapped).await.is_empty(), "a server that is no sentinel");
    let swapped = sentinels
        .url()
        .replace("redis+sentinel", "redis")
        .replace("/tickets?sentinel_password=hunter2", "");
    assert!(
        !refused(swapped.replace("://", "://:hunter2@")).await.is_empty(),
        "a sentinel as a server"
    );
}
