//! The memory store and its table beside a set in a mutex.
//!
//! ```text
//! cargo bench -p rsvp-benches --bench memory
//! ```
//!
//! Each iteration is one RSVP, one read and one cancel of a pair, on one thread or on eight,
//! on one event of 100,000 or on 10,000 events of 100. The set in a mutex knows who attends, and
//! not what a user attends. The figure is the time of an iteration, done on every thread.
#![allow(missing_docs, reason = "criterion's macros make public items")]
#![allow(clippy::expect_used, reason = "a benchmark that cannot go on ends")]

use std::collections::{HashMap, HashSet};
use std::hint::black_box;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use futures_util::FutureExt;
use rsvp_core::{EventId, RsvpStoreExt, UserId};
use rsvp_memory::{MemoryStore, RsvpTable};
use tokio::time::Instant;

/// What is compared: one RSVP, one read, one cancel.
trait Toggle: Sync {
    fn add(&self, user: &UserId, event: &EventId) -> bool;
    fn toggle(&self, user: &UserId, event: &EventId);
}

#[derive(Default)]
struct MutexedSet(Mutex<HashMap<EventId, HashSet<UserId>>>);

impl Toggle for MutexedSet {
    fn add(&self, user: &UserId, event: &EventId) -> bool {
        let mut events = self.0.lock().expect("nobody panics");
        events.entry(event.clone()).or_default().insert(user.clone())
    }

    fn toggle(&self, user: &UserId, event: &EventId) {
        let lock = || self.0.lock().expect("nobody panics");
        black_box(self.add(user, event));
        black_box(lock().get(event).is_some_and(|users| users.contains(user)));
        black_box(lock().get_mut(event).is_some_and(|users| users.remove(user)));
    }
}

impl Toggle for RsvpTable {
    fn add(&self, user: &UserId, event: &EventId) -> bool {
        self.rsvp(user, event).is_applied()
    }

    fn toggle(&self, user: &UserId, event: &EventId) {
        black_box(self.rsvp(user, event));
        black_box(self.has_rsvped(user, event));
        black_box(self.cancel(user, event));
    }
}

impl Toggle for MemoryStore {
    fn add(&self, user: &UserId, event: &EventId) -> bool {
        self.table().add(user, event)
    }

    fn toggle(&self, user: &UserId, event: &EventId) {
        // Its futures are ready at once, so no runtime is in the way.
        let _ = black_box(self.rsvp(user, event).now_or_never());
        let _ = black_box(self.has_rsvped(user, event).now_or_never());
        let _ = black_box(self.cancel(user, event).now_or_never());
    }
}

/// Iterations on each of `threads`, which use users of their own.
fn spread(store: &impl Toggle, threads: u64, events: u64, iterations: u64) -> Duration {
    let start = Instant::now();
    thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                for n in 0..iterations {
                    let user = UserId::from(1_000_000 + thread * 1_000 + n % 1_000);
                    store.toggle(&user, &EventId::from(n * 7919 % events));
                }
            });
        }
    });
    start.elapsed()
}

fn filled<T: Toggle + Default>(events: u64, attendees: u64) -> T {
    let store = T::default();
    for event in (0..events).map(EventId::from) {
        (0..attendees).map(UserId::from).for_each(|user| assert!(store.add(&user, &event)));
    }
    store
}

fn compare(criterion: &mut Criterion) {
    for (events, attendees) in [(1, 100_000), (10_000, 100)] {
        let mutexed: MutexedSet = filled(events, attendees);
        let table: RsvpTable = filled(events, attendees);
        let store: MemoryStore = filled(events, attendees);
        for threads in [1, 8] {
            let name = format!("memory/{events}_events/{threads}_threads");
            let mut group = criterion.benchmark_group(name);
            let mut add = |name: &str, run: &dyn Fn(u64) -> Duration| {
                let id = BenchmarkId::from_parameter(name);
                group.bench_function(id, |bencher| bencher.iter_custom(run));
            };
            add("mutexed_set", &|n| spread(&mutexed, threads, events, n));
            add("table", &|n| spread(&table, threads, events, n));
            add("store", &|n| spread(&store, threads, events, n));
            group.finish();
        }
    }
}

criterion_group! {
    name = memory;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = compare
}
criterion_main!(memory);
