//! A server that is killed and comes back has kept what it acknowledged.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use rsvp_testkit::ledger::Writers;
use rsvp_testkit::servers::PostgresServer;
use tokio::time::{Instant, sleep};

use crate::support::{assert_full_capacity, check, config, open, random};

const CRASHES: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_over_twenty_crashes() {
    let mut random = random();
    let server = PostgresServer::start().await;
    let store = open(config(&server.url("postgres"))).await;
    let writers = Writers::start(Arc::new(store.clone()), 12, &mut random);
    let mut slowest = Duration::ZERO;
    for _ in 0..CRASHES {
        writers.acknowledge(1).await;
        // A random moment, not a wait for anything.
        sleep(Duration::from_millis(random.random_range(0..400))).await;
        server.kill().await;
        server.start_again().await;
        let up = Instant::now();
        writers.acknowledge(1).await;
        slowest = slowest.max(up.elapsed());
    }
    let (acknowledged, gap) = (writers.acknowledged(), writers.longest_gap());
    let ledger = writers.stop().await;
    println!(
        "{acknowledged} writes acknowledged over {CRASHES} crashes; at most {slowest:?} from the \
         server's return to the next acknowledgement, {gap:?} without any"
    );
    check(&store, &ledger).await;
    assert!(ledger.known() > 0);
    assert_full_capacity(&store, 10).await;
}
