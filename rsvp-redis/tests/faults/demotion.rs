//! A primary that is demoted while it answers: a write that it has applied is not reported as not
//! applied.

use std::time::Duration;

use crate::support::{event, eventually, open, user, write};
use futures_util::FutureExt;
use redis::Client;
use rsvp_core::{Effect, RsvpStore, RsvpStoreExt, Write};
use rsvp_redis::RedisStore;
use rsvp_testkit::servers::RedisServer;
use tokio::time::Instant;

const CONNECTIONS: usize = 2;

/// Nobody listens there, so nobody is the primary.
const NOWHERE: [&str; 3] = ["REPLICAOF", "127.0.0.1", "1"];
const PRIMARY: [&str; 3] = ["REPLICAOF", "NO", "ONE"];

/// The connection has been there for longer than a server is believed to be the primary.
async fn distrust(store: &RedisStore) {
    for _ in 0..CONNECTIONS {
        store.ready().await.unwrap();
    }
    let begin = Instant::now();
    let distrusted = async || begin.elapsed() > Duration::from_millis(150);
    eventually("the role to be asked for again", distrusted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_waited_for_replicas_may_have_been_applied() {
    let pair = RedisServer::builder().start_replicated().await;
    let (primary, replica) = (pair.primary(), pair.replica());
    let store = open(&format!("{}?wait_replicas=1&wait_timeout=50s", primary.url())).await;
    distrust(&store).await;
    replica.pause().await;
    let (waiting, demoting) = (user(2), event(1));
    let mut write = store.rsvp(&waiting, &demoting).boxed();
    assert!((&mut write).now_or_never().is_none());
    eventually("the write to wait for the replica", async || {
        primary.command(&["INFO", "clients"]).await.contains("blocked_clients:1")
    })
    .await;
    primary.command(&NOWHERE).await;
    let error = write.await.unwrap_err();
    primary.command(&PRIMARY).await;
    assert_eq!(primary.command(&["SISMEMBER", "rsvp:e:{0:1}", "2"]).await, "1", "it was applied");
    assert_eq!(error.effect(), Effect::Unknown, "{error:?}");
    assert!(error.is_retryable());
    replica.resume().await;
}

/// It is long enough for the primary to do other things in the middle of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_batch_may_have_been_applied_in_part() {
    let server = RedisServer::start().await;
    let store = open(&server.url()).await;
    let client = Client::open(server.url()).unwrap();
    let mut raw = client.get_multiplexed_async_connection().await.unwrap();
    let mut cut_short = 0;
    for round in 0..20 {
        distrust(&store).await;
        let name = format!("{round}-{}", "x".repeat(240));
        let rsvp = |n| Write::rsvp(user(format!("{n}-{name}")), event(&name));
        let batch: Vec<_> = (0..10_000).map(rsvp).collect();
        let writing = tokio::spawn({
            let store = store.clone();
            async move { write(&store, &batch).await }
        });
        let size = redis::cmd("SCARD").arg(format!("rsvp:e:{{0:{name}}}")).to_owned();
        let mut seen = 0_u64;
        while seen == 0 {
            seen = size.query_async(&mut raw).await.unwrap();
        }
        let demotion = redis::cmd(NOWHERE[0]).arg(&NOWHERE[1..]).to_owned();
        demotion.exec_async(&mut raw).await.unwrap();
        let answer = writing.await.unwrap();
        seen = size.query_async(&mut raw).await.unwrap();
        server.command(&PRIMARY).await;
        println!("{seen} of 10000 applied: {:?}", answer.as_ref().map(|_| ()));
        if let Err(error) = answer {
            assert_eq!(error.effect(), Effect::Unknown, "{seen} were applied: {error:?}");
            assert!(error.is_retryable());
        }
        cut_short += usize::from(seen < 10_000);
        if cut_short >= 3 {
            return;
        }
    }
    panic!("the primary was never demoted in the middle of a batch");
}
