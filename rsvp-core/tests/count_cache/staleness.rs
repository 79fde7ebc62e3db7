//! How old counts are in real time, measured.

use std::sync::Arc;

use rsvp_core::{CountCacheConfig, RsvpStore, RsvpStoreExt};
use rsvp_testkit::staleness::measure;

use crate::inner::Inner;
use crate::ms;

/// Two processes' worth of caches on one store.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_million_counts_none_is_older_than_its_bound() {
    let inner = Arc::new(Inner::default());
    let inners = [inner.peer(), inner];
    for inner in &inners {
        inner.reads.takes_about(ms(1));
    }
    let cached = |inner: &Arc<Inner>| -> Arc<dyn RsvpStore> {
        Arc::new(inner.clone().count_cached(CountCacheConfig::default()))
    };
    let stores = [cached(&inners[0]), cached(&inners[1])];
    let measured = measure(stores, &[5, 20, 100].map(ms), 1_000_000).await;
    let reads = inners[0].reads() + inners[1].reads();
    println!("{measured}; {reads} reads of the store");
    assert_eq!(measured.reads, 1_000_000);
    assert!(reads < 100_000, "{reads} reads of the store for {} counts", measured.reads);
}
