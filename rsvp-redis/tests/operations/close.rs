//! Closing a store: calls that are under way are finished, and later ones are refused.

use std::time::Duration;

use crate::support::calls::{calls, store};
use crate::support::{event, eventually, user};
use futures_util::FutureExt;
use rsvp_core::{Error, RsvpStore, RsvpStoreExt};
use rsvp_testkit::servers::{Proxy, RedisCluster, RedisServer};
use tokio::task::JoinSet;

const WRITES: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_closes_finishes_what_it_has_begun() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let store = store(proxy.port(), "response_timeout=20s").await;
    store.ready().await.unwrap();
    proxy.stall().await;
    let mut writes = JoinSet::new();
    for n in 0..WRITES {
        let store = store.clone();
        writes.spawn(async move { store.rsvp(&user(n), &event(1)).await });
    }
    // One whose caller goes away.
    let (without_caller, of) = (user("without a caller"), event(1));
    assert!(store.rsvp(&without_caller, &of).now_or_never().is_none(), "it is under way");
    eventually("the writes to be under way", async || {
        tokio::time::sleep(Duration::from_millis(50)).await;
        true
    })
    .await;

    let mut closing = store.close();
    assert!((&mut closing).now_or_never().is_none(), "writes are under way");
    for (operation, call) in calls(&store) {
        let error = call.await.unwrap_err();
        assert!(
            matches!(&error, Error::Closed { operation: of, .. } if *of == operation),
            "{error:?}"
        );
    }
    proxy.resume().await;
    closing.await.unwrap();
    let left = writes.join_all().await;
    assert_eq!(left.into_iter().filter(Result::is_ok).count(), WRITES);
    let held = server.command(&["SCARD", "rsvp:e:{0:1}"]).await;
    assert_eq!(held, (WRITES + 1).to_string(), "the one without a caller is among them");
    eventually("the connections to close", async || proxy.open() == 0).await;
    store.close().await.unwrap();
    assert!(matches!(store.ready().await, Err(Error::Closed { .. })));
    assert_eq!(proxy.open(), 0, "a closed store connects to nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_a_cluster_closes_all_its_connections() {
    let cluster = RedisCluster::start().await;
    let store = crate::support::open(&cluster.url()).await;
    store.ready().await.unwrap();
    let of_the_store = async || {
        let mut sum = 0;
        for node in cluster.nodes() {
            let clients = node.command(&["CLIENT", "LIST", "TYPE", "NORMAL"]).await;
            sum += clients.lines().filter(|client| client.contains("lib-name=redis-rs")).count();
            sum += clients.lines().filter(|client| client.contains("cmd=cluster|slots")).count();
            sum += clients.lines().filter(|client| client.contains("cmd=exec")).count();
        }
        sum
    };
    assert!(of_the_store().await > 0);
    store.close().await.unwrap();
    eventually("the connections to close", async || of_the_store().await == 0).await;
}
