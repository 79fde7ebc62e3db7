//! Writers during crashes of their engine.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use rsvp_core::RsvpStore;
use tokio::time::{Instant, sleep};

use super::{Ledger, Writers};

/// The number of writers of a run, each on pairs of its own.
const WRITERS: usize = 12;

/// Crashes the engine of a store again and again, at random moments under writers.
/// Returns the writers' ledger.
///
/// `restart` kills the engine and starts it again.
/// A write is acknowledged before each crash and after it.
/// The function prints the numbers of the run.
pub async fn crash_under_writers(
    store: Arc<dyn RsvpStore>,
    crashes: usize,
    random: &mut StdRng,
    restart: impl AsyncFn(),
) -> Ledger {
    let writers = Writers::start(store, WRITERS, random);
    let mut slowest = Duration::ZERO;
    for _ in 0..crashes {
        writers.acknowledge(1).await;
        // A random moment. It waits for nothing.
        sleep(Duration::from_millis(random.random_range(0..400))).await;
        restart().await;
        // The engine is back. The rest of the outage is the time of the store to reconnect.
        let up = Instant::now();
        writers.acknowledge(1).await;
        slowest = slowest.max(up.elapsed());
    }
    let (acknowledged, gap) = (writers.acknowledged(), writers.longest_gap());
    let ledger = writers.stop().await;
    println!(
        "{acknowledged} writes acknowledged over {crashes} crashes; at most {slowest:?} from the \
         return of the engine to the next acknowledgement, {gap:?} without any"
    );
    assert!(ledger.known() > 0, "the writers know of pairs");
    ledger
}
