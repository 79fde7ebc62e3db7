//! Moving slots of a cluster as its administrators do.

use std::time::Duration;

use rsvp_testkit::servers::{RedisCluster, RedisServer};
use tokio::time::sleep;

/// Which nodes are told that a slot has moved. The others hear of it from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    AllPrimaries,
    GiverAndTaker,
}

/// Moves the slot of `key` to `taker`, one key after another, with pauses in which it is served by
/// both: what has moved there, what has not here.
pub(crate) async fn move_slot(
    cluster: &RedisCluster,
    key: &str,
    taker: &RedisServer,
    told: Told,
    pause: Duration,
) {
    let slot = taker.command(&["CLUSTER", "KEYSLOT", key]).await;
    let giver = cluster.primary_of(key).await;
    assert_ne!(giver.port(), taker.port(), "slot {slot} is there already");
    let (giver_id, taker_id) = (id_of(giver).await, id_of(taker).await);
    taker.command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &giver_id]).await;
    giver.command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &taker_id]).await;
    let port = taker.port().to_string();
    loop {
        sleep(pause).await;
        let key = giver.command(&["CLUSTER", "GETKEYSINSLOT", &slot, "1"]).await;
        if key.is_empty() {
            break;
        }
        giver.command(&["MIGRATE", "127.0.0.1", &port, &key, "0", "5000"]).await;
    }
    // The taker first: the giver must not send anyone to a node that would send them back.
    let set = ["CLUSTER", "SETSLOT", &slot, "NODE", &taker_id];
    taker.command(&set).await;
    giver.command(&set).await;
    if told == Told::AllPrimaries {
        for primary in cluster.primaries().await {
            primary.command(&set).await;
        }
    }
}

async fn id_of(server: &RedisServer) -> String {
    server.command(&["CLUSTER", "MYID"]).await
}

/// A primary that does not serve `key`.
pub(crate) async fn another<'a>(cluster: &'a RedisCluster, key: &str) -> &'a RedisServer {
    let primaries = cluster.primaries().await;
    let own = cluster.primary_of(key).await.port();
    let at = primaries.iter().position(|primary| primary.port() == own).unwrap();
    primaries[(at + 1) % primaries.len()]
}
