//! No count is older than its bound, in real time.

use std::sync::Arc;
use std::time::Duration;

use rsvp_core::{CountCacheConfig, Operation, RsvpStore, RsvpStoreExt};
use rsvp_memory::MemoryStore;
use rsvp_testkit::staleness;

use crate::probe::Probe;

#[tokio::test(flavor = "multi_thread")]
async fn no_count_of_two_caches_is_older_than_its_bound() {
    let seed = rsvp_testkit::seed();
    println!("{}={seed}", rsvp_testkit::SEED_VARIABLE);
    let data = Arc::new(MemoryStore::new());
    let probes = [Probe::on(&data), Probe::on(&data)];
    let stores = probes.clone().map(|probe| {
        Arc::new(probe.count_cached(CountCacheConfig::default())) as Arc<dyn RsvpStore>
    });
    let bounds = [5, 20, 100, 1000].map(Duration::from_millis);
    let found = staleness::measure(stores, &bounds, 1_000_000, seed).await;
    let asked = probes.iter().flat_map(|probe| probe.asked());
    let reads = asked.filter(|asked| asked.operation == Operation::RsvpCounts).count();
    println!("{found}; the store was read {reads} times");
    assert!(found.writes > 100 && reads > 10, "the counts did change");
}
