//! A server that is killed and comes back has kept every acknowledged write.

use std::sync::Arc;

use rsvp_testkit::ledger::crash_under_writers;
use rsvp_testkit::servers::PostgresServer;

use crate::support::{assert_full_capacity, check, config, open, random};

const CRASHES: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_over_twenty_crashes() {
    let mut random = random();
    let server = PostgresServer::start().await;
    let store = open(config(&server.url("postgres"))).await;
    let shared = Arc::new(store.clone());
    let ledger = crash_under_writers(shared, CRASHES, &mut random, || server.restart()).await;
    check(&store, &ledger).await;
    assert_full_capacity(&store, 10).await;
}
