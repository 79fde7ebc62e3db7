//! The Postgres store beside the baseline, the statements that a careful developer would write by
//! hand.
//!
//! ```text
//! cargo bench -p rsvp-benches --bench postgres
//! ```
//!
//! Both work on one durable server, which is started for it. In the baseline, 32 clients each send
//! one prepared statement for each RSVP or read. Through the store, 32 callers send batches of
//! one, and 4 callers send larger ones. Throughput is in pairs, or in events for counts. All
//! written pairs are new. `postgres_ratio` compares the two in alternation, which a busy machine
//! disturbs less.
#![allow(missing_docs, reason = "criterion's macros make public items")]
#![allow(clippy::expect_used, reason = "a benchmark that cannot go on ends")]

use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rsvp_benches::{Database, Invocation, Load, Pairs};
use rsvp_core::{EventId, ReadOptions, Rsvp, RsvpStore, WriteOptions};
use tokio::runtime::Runtime;

const BATCHES: [usize; 4] = [1, 16, 256, 1024];
const EVENTS: [(u64, &str); 2] = [(1, "one_event"), (10_000, "10000_events")];

/// Callers of the store that keep it as busy as it can be with batches of this size.
fn callers(batch: usize) -> Load {
    Load(if batch == 1 { Database::CLIENTS } else { 4 })
}

fn writes(criterion: &mut Criterion, runtime: &Runtime, database: &Database) {
    for (events, name) in EVENTS {
        let mut group = criterion.benchmark_group(format!("postgres/write/{name}"));
        runtime.block_on(database.start_over(events));
        let pairs = Arc::new(Pairs::of(events));
        for batch in BATCHES {
            let load = callers(batch);
            group.throughput(Throughput::Elements((load.0 * batch) as u64));
            group.bench_function(BenchmarkId::new("store", batch), |bencher| {
                bencher.iter_custom(|times| {
                    let (store, pairs) = (database.store.clone(), pairs.clone());
                    runtime.block_on(load.times(times, move || {
                        let (store, writes) = (store.clone(), pairs.take(batch));
                        async move {
                            store
                                .write_batch(&writes, &WriteOptions::default())
                                .await
                                .expect("a batch")
                                .outcomes()
                                .expect("acknowledged");
                        }
                    }))
                });
            });
        }
        let pairs = Arc::new(Pairs::of(events));
        group.throughput(Throughput::Elements(Database::CLIENTS as u64));
        group.bench_function(BenchmarkId::new("baseline", 1), |bencher| {
            bencher.iter_custom(|times| {
                let (baseline, pairs) = (database.baseline.clone(), pairs.clone());
                runtime.block_on(Load(Database::CLIENTS).times(times, move || {
                    let (baseline, pairs) = (baseline.clone(), pairs.clone());
                    async move { baseline.take_one(&pairs).await }
                }))
            });
        });
        group.finish();
    }
}

fn reads(criterion: &mut Criterion, runtime: &Runtime, database: &Database, held: u64) {
    let pairs = Arc::new(Pairs::of(10_000));
    runtime.block_on(async {
        database.start_over(10_000).await;
        database.load(&pairs, held).await;
        database.baseline.copy_store().await;
    });
    let mut group = criterion.benchmark_group("postgres/has_rsvped");
    for batch in [1, 256] {
        let load = callers(batch);
        group.throughput(Throughput::Elements((load.0 * batch) as u64));
        group.bench_function(BenchmarkId::new("store", batch), |bencher| {
            bencher.iter_custom(|times| {
                let (store, pairs) = (database.store.clone(), pairs.clone());
                runtime.block_on(load.times(times, move || {
                    let asked: Vec<Rsvp> = pairs.draw(batch, held).map(|n| pairs.nth(n)).collect();
                    let store = store.clone();
                    async move {
                        let strong = ReadOptions::strong();
                        store.has_rsvped_batch(&asked, &strong).await.expect("answers");
                    }
                }))
            });
        });
    }
    group.throughput(Throughput::Elements(Database::CLIENTS as u64));
    group.bench_function(BenchmarkId::new("baseline", 1), |bencher| {
        bencher.iter_custom(|times| {
            let (baseline, pairs) = (database.baseline.clone(), pairs.clone());
            runtime.block_on(Load(Database::CLIENTS).times(times, move || {
                let asked: Vec<Rsvp> = pairs.draw(1, held).map(|n| pairs.nth(n)).collect();
                let baseline = baseline.clone();
                async move {
                    for pair in &asked {
                        baseline.has_rsvped(pair).await;
                    }
                }
            }))
        });
    });
    group.finish();
    counts(criterion, runtime, database, &pairs);
}

fn counts(criterion: &mut Criterion, runtime: &Runtime, database: &Database, pairs: &Arc<Pairs>) {
    let mut group = criterion.benchmark_group("postgres/rsvp_count");
    for batch in [1, 256] {
        let load = callers(batch);
        group.throughput(Throughput::Elements((load.0 * batch) as u64));
        group.bench_function(BenchmarkId::new("store", batch), |bencher| {
            bencher.iter_custom(|times| {
                let (store, pairs) = (database.store.clone(), pairs.clone());
                runtime.block_on(load.times(times, move || {
                    let asked: Vec<EventId> =
                        pairs.draw(batch, pairs.events()).map(Pairs::event).collect();
                    let store = store.clone();
                    async move {
                        store
                            .rsvp_count_batch(&asked, &ReadOptions::strong())
                            .await
                            .expect("counts");
                    }
                }))
            });
        });
    }
    group.throughput(Throughput::Elements(Database::CLIENTS as u64));
    group.bench_function(BenchmarkId::new("baseline", 1), |bencher| {
        bencher.iter_custom(|times| {
            let (baseline, pairs) = (database.baseline.clone(), pairs.clone());
            runtime.block_on(Load(Database::CLIENTS).times(times, move || {
                let asked: Vec<EventId> = pairs.draw(1, pairs.events()).map(Pairs::event).collect();
                let baseline = baseline.clone();
                async move {
                    for event in &asked {
                        baseline.count(event).await;
                    }
                }
            }))
        });
    });
    group.finish();
}

fn all(criterion: &mut Criterion) {
    if Invocation::of("postgres") == Invocation::Skip {
        return;
    }
    let runtime = Runtime::new().expect("a runtime");
    let database = runtime.block_on(Database::start());
    writes(criterion, &runtime, &database);
    reads(criterion, &runtime, &database, if Invocation::is_try() { 100_000 } else { 500_000 });
}

criterion_group! {
    name = postgres;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(5));
    targets = all
}
criterion_main!(postgres);
