//! The Redis store beside the baseline, the commands that a careful developer would write by hand.
//!
//! ```text
//! cargo bench -p rsvp-benches --bench redis
//! ```
//!
//! Both work on one server with an append-only file that is written out every second. In the
//! baseline, 256 tasks share one multiplexed connection and each send a pipelined pair of `SADD`s
//! for an RSVP, or one `SISMEMBER` or `SCARD` for a read. Through the store, 256 callers send
//! batches of one, and 8 callers send larger ones. Throughput is in pairs, or in events for counts.
//! All written pairs are new, and of new users. The server is emptied before each measurement of
//! writes. `redis_ratio` compares the two in alternation, which a busy machine disturbs less.
#![allow(missing_docs, reason = "criterion's macros make public items")]
#![allow(clippy::expect_used, reason = "a benchmark that cannot go on ends")]

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use rsvp_benches::{Invocation, Keyspace, Load, Pairs};
use rsvp_core::{EventId, ReadOptions, Rsvp, RsvpStore, WriteOptions};
use rsvp_testkit::servers::Persistence;
use tokio::runtime::Runtime;

const BATCHES: [usize; 4] = [1, 16, 256, 1024];
const EVENTS: [(u64, &str); 2] = [(1, "one_event"), (10_000, "10000_events")];

/// Measures callers that each make one call after another, of `size` elements.
fn measure<F: Future<Output = ()> + Send>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    runtime: &Runtime,
    way: &str,
    size: usize,
    call: impl Fn() -> F + Clone + Send + 'static,
) {
    let load = Load(if size == 1 { Keyspace::TASKS } else { 8 });
    group.throughput(Throughput::Elements((load.0 * size) as u64));
    group.bench_function(BenchmarkId::new(way, size), |bencher| {
        bencher.iter_custom(|times| runtime.block_on(load.times(times, call.clone())));
    });
}

fn writes(criterion: &mut Criterion, runtime: &Runtime, keyspace: &Keyspace) {
    for (events, name) in EVENTS {
        let mut group = criterion.benchmark_group(format!("redis/write/{name}"));
        for batch in BATCHES {
            runtime.block_on(keyspace.start_over());
            let (store, pairs) = (keyspace.store.clone(), Arc::new(Pairs::of(events)));
            measure(&mut group, runtime, "store", batch, move || {
                let (store, writes) = (store.clone(), pairs.take(batch));
                async move {
                    drop(
                        store
                            .write_batch(&writes, &WriteOptions::default())
                            .await
                            .expect("a batch")
                            .outcomes()
                            .expect("acknowledged"),
                    )
                }
            });
        }
        runtime.block_on(keyspace.start_over());
        let (baseline, pairs) = (keyspace.baseline.clone(), Arc::new(Pairs::of(events)));
        measure(&mut group, runtime, "baseline", 1, move || {
            let (baseline, writes) = (baseline.clone(), pairs.take(1));
            async move {
                for write in &writes {
                    baseline.rsvp(&write.rsvp).await;
                }
            }
        });
        group.finish();
    }
}

fn reads(criterion: &mut Criterion, runtime: &Runtime, keyspace: &Keyspace, held: u64) {
    for (events, name) in EVENTS {
        let pairs = Arc::new(Pairs::of(events));
        runtime.block_on(async {
            keyspace.start_over().await;
            keyspace.load(&pairs, held).await;
        });
        let mut group = criterion.benchmark_group(format!("redis/has_rsvped/{name}"));
        for batch in BATCHES {
            let (store, pairs) = (keyspace.store.clone(), pairs.clone());
            measure(&mut group, runtime, "store", batch, move || {
                let asked: Vec<Rsvp> = pairs.draw(batch, held).map(|n| pairs.nth(n)).collect();
                let store = store.clone();
                async move {
                    let strong = ReadOptions::strong();
                    store.has_rsvped_batch(&asked, &strong).await.expect("answers");
                }
            });
        }
        let (baseline, asked) = (keyspace.baseline.clone(), pairs.clone());
        measure(&mut group, runtime, "baseline", 1, move || {
            let pairs: Vec<Rsvp> = asked.draw(1, held).map(|n| asked.nth(n)).collect();
            let baseline = baseline.clone();
            async move {
                for pair in &pairs {
                    baseline.has_rsvped(pair).await;
                }
            }
        });
        group.finish();
    }
    counts(criterion, runtime, keyspace);
}

fn counts(criterion: &mut Criterion, runtime: &Runtime, keyspace: &Keyspace) {
    let (events, name) = EVENTS[1];
    let pairs = Arc::new(Pairs::of(events));
    let mut group = criterion.benchmark_group(format!("redis/rsvp_count/{name}"));
    for batch in [1, 256] {
        let (store, pairs) = (keyspace.store.clone(), pairs.clone());
        measure(&mut group, runtime, "store", batch, move || {
            let asked: Vec<EventId> = pairs.draw(batch, events).map(Pairs::event).collect();
            let store = store.clone();
            async move {
                drop(store.rsvp_count_batch(&asked, &ReadOptions::strong()).await.expect("counts"))
            }
        });
    }
    let (baseline, pairs) = (keyspace.baseline.clone(), pairs);
    measure(&mut group, runtime, "baseline", 1, move || {
        let asked: Vec<EventId> = pairs.draw(1, events).map(Pairs::event).collect();
        let baseline = baseline.clone();
        async move {
            for event in &asked {
                baseline.count(event).await;
            }
        }
    });
    group.finish();
}

fn all(criterion: &mut Criterion) {
    if Invocation::of("redis") == Invocation::Skip {
        return;
    }
    let runtime = Runtime::new().expect("a runtime");
    let keyspace = runtime.block_on(Keyspace::start(Persistence::EverySecond));
    writes(criterion, &runtime, &keyspace);
    reads(criterion, &runtime, &keyspace, if Invocation::is_try() { 5_000 } else { 500_000 });
}

criterion_group! {
    name = redis;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = all
}
criterion_main!(redis);
