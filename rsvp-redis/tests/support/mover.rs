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

/// A slot that is migrating: the taker serves keys that have moved to requests with `ASKING`.
pub(crate) struct Move<'a> {
    cluster: &'a RedisCluster,
    slot: String,
    giver: &'a RedisServer,
    taker: &'a RedisServer,
    taker_id: String,
}

impl<'a> Move<'a> {
    /// Of the slot of `key`.
    pub(crate) async fn begin(
        cluster: &'a RedisCluster,
        key: &str,
        taker: &'a RedisServer,
    ) -> Self {
        let slot = taker.command(&["CLUSTER", "KEYSLOT", key]).await;
        let giver = cluster.primary_of(key).await;
        assert_ne!(giver.port(), taker.port(), "slot {slot} is there already");
        let (giver_id, taker_id) = (id_of(giver).await, id_of(taker).await);
        taker.command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &giver_id]).await;
        giver.command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &taker_id]).await;
        Self { cluster, slot, giver, taker, taker_id }
    }

    pub(crate) async fn migrate(&self, key: &str) {
        let port = self.taker.port().to_string();
        self.giver.command(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]).await;
    }

    /// Moves what is left, one key after another, with a pause before each look for the next.
    pub(crate) async fn finish(self, told: Told, pause: Duration) {
        loop {
            sleep(pause).await;
            let next = self.giver.command(&["CLUSTER", "GETKEYSINSLOT", &self.slot, "1"]).await;
            if next.is_empty() {
                break;
            }
            self.migrate(&next).await;
        }
        // The taker first: the giver must not send anyone to a node that would send them back.
        let set = ["CLUSTER", "SETSLOT", &self.slot, "NODE", &self.taker_id];
        self.taker.command(&set).await;
        self.giver.command(&set).await;
        if told == Told::AllPrimaries {
            for primary in self.cluster.primaries().await {
                primary.command(&set).await;
            }
        }
    }
}

async fn id_of(server: &RedisServer) -> String {
    server.command(&["CLUSTER", "MYID"]).await
}

/// A primary that does not own `key`.
pub(crate) async fn another<'a>(cluster: &'a RedisCluster, key: &str) -> &'a RedisServer {
    let primaries = cluster.primaries().await;
    let own = cluster.primary_of(key).await.port();
    let at = primaries.iter().position(|primary| primary.port() == own).unwrap();
    primaries.into_iter().cycle().nth(at + 1).unwrap()
}
