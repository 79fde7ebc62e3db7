//! The cost of each layer by itself: nanoseconds of a call over a store that answers at once.
//!
//! ```text
//! cargo bench -p rsvp-benches --bench layers
//! ```
//!
//! One caller makes one call after another, on a runtime of one thread. `bare` is the store alone;
//! the difference to it is the layer's own. Of a coalesced store that is two switches of tasks,
//! which many callers share; of a cache that answers from memory it is all there is to a count. No
//! recorder of metrics is installed, except for `observed_recorded`, and no subscriber of spans.
#![allow(missing_docs, reason = "criterion's macros make public items")]
#![allow(clippy::expect_used, reason = "a benchmark that cannot go on ends")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use metrics_exporter_prometheus::PrometheusBuilder;
use rsvp_benches::Simulated;
use rsvp_core::layers::{
    CoalesceConfig, CountCacheConfig, LayerExt, LimitConfig, RetryConfig, Shard, ShardedStore,
    TimeoutConfig,
};
use rsvp_core::{EventId, Result, RsvpStore, RsvpStoreExt, UserId};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

fn sharded(spread: usize) -> ShardedStore<Simulated> {
    let shards = ["a", "b", "c", "d"].map(|name| Shard::new(name, Simulated::at_once()));
    ShardedStore::new(shards, spread).expect("a legal placement")
}

fn stores() -> Result<Vec<(&'static str, Arc<dyn RsvpStore>)>> {
    let bare = Simulated::at_once;
    let timeout = TimeoutConfig::new(Duration::from_secs(3600));
    let stack = sharded(1)
        .with_retry(RetryConfig::default())?
        .with_coalescing(CoalesceConfig::default())?
        .with_count_cache(CountCacheConfig::default())?;
    Ok(vec![
        ("bare", Arc::new(bare())),
        ("timed", Arc::new(bare().with_timeout(timeout)?)),
        ("retried", Arc::new(bare().with_retry(RetryConfig::default())?)),
        ("limited", Arc::new(bare().with_limit(LimitConfig::new(64))?)),
        ("observed", Arc::new(bare().with_observer("bench")?)),
        ("sharded_4_spread_1", Arc::new(sharded(1))),
        ("sharded_4_spread_4", Arc::new(sharded(4))),
        ("count_cached", Arc::new(bare().with_count_cache(CountCacheConfig::default())?)),
        ("coalesced", Arc::new(bare().with_coalescing(CoalesceConfig::default())?)),
        ("stack", Arc::new(stack)),
    ])
}

/// The time of so many calls, one after another.
fn calls(runtime: &Runtime, store: &dyn RsvpStore, operation: &str, times: u64) -> Duration {
    let (user, event) = (UserId::from(1_u64), EventId::from(1_u64));
    runtime.block_on(async {
        let start = Instant::now();
        for _ in 0..times {
            match operation {
                "rsvp" => drop(black_box(store.rsvp(&user, &event).await)),
                "has_rsvped" => drop(black_box(store.has_rsvped(&user, &event).await)),
                _ => drop(black_box(store.rsvp_count(&event).await)),
            }
        }
        start.elapsed()
    })
}

fn compare(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let recorder = PrometheusBuilder::new().build_recorder();
    for operation in ["rsvp", "has_rsvped", "rsvp_count"] {
        let mut group = criterion.benchmark_group(format!("layers/{operation}"));
        for (name, store) in stores().expect("legal settings") {
            let id = BenchmarkId::from_parameter(name);
            group.bench_function(id, |bencher| {
                bencher.iter_custom(|times| calls(&runtime, &*store, operation, times));
            });
        }
        let observed = Simulated::at_once().with_observer("bench").expect("a legal name");
        group.bench_function(BenchmarkId::from_parameter("observed_recorded"), |bencher| {
            bencher.iter_custom(|times| {
                let run = || calls(&runtime, &observed, operation, times);
                metrics::with_local_recorder(&recorder, run)
            });
        });
        // A reader of the metrics empties the histograms.
        recorder.handle().run_upkeep();
        group.finish();
    }
}

criterion_group! {
    name = layers;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = compare
}
criterion_main!(layers);
