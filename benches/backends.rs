//! The same calls on every backend, beside code by hand.
//!
//! ```text
//! cargo bench -p rsvp-benches --bench backends              # about fifteen minutes
//! cargo bench -p rsvp-benches --bench backends -- --quick   # about three
//! cargo bench -p rsvp-benches --bench backends -- hot_event # one group
//! ```
//!
//! Every backend holds the same 50,000 RSVPs of 20,000 users to 10,000 events, and one event with 1,000
//! more. The servers run on this machine and are started for it: Postgres commits durably, Redis has an
//! append-only file that is synced every second, SQLite syncs each transaction. Each backend has three
//! rows, so that a batch is not compared with single statements alone:
//!
//! - the store, with the layers that the README recommends where callers are many,
//! - `…_by_hand`: one statement for each RSVP or read,
//! - `…_by_hand_batched`: one statement, pipeline or transaction for as many as the store is given.
//!
//! | group | one iteration |
//! |---|---|
//! | `single` | one call of one caller |
//! | `batch` | one call with 256 entries. By hand also 256 calls at once. |
//! | `callers` | 256 callers at once, one call each |
//! | `hot_event` | 256 callers at once, one RSVP each to one event |
//! | `lists` | one page of 100 entries |
#![allow(missing_docs, reason = "criterion's macros make public items")]
#![allow(clippy::expect_used, reason = "a benchmark that cannot go on ends")]

use std::sync::Arc;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use futures_util::future::join_all;
use rsvp_benches::{
    ByStore, Database, Invocation, Keyspace, MemoryBaseline, Pairs, SqliteBaseline, Way,
};
use rsvp_core::layers::{CoalesceConfig, LayerExt};
use rsvp_core::{EventId, Rsvp, RsvpStore, UserId};
use rsvp_memory::MemoryStore;
use rsvp_sqlite::{SqliteConfig, SqliteStore};
use rsvp_testkit::servers::Persistence;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::time::Instant;

const EVENTS: u64 = 10_000;
const USERS: u64 = 20_000;
const BATCH: usize = 256;
/// The users of the event whose list is read.
const LISTED: u64 = 1_000;

type SharedWay = Arc<dyn Way>;

/// A backend: the store as it is, the store with layers for many callers, and code by hand.
struct Backend {
    name: &'static str,
    bare: SharedWay,
    layered: SharedWay,
    by_hand: SharedWay,
}

impl Backend {
    fn new(
        name: &'static str,
        store: Arc<impl RsvpStore + 'static>,
        coalesced: bool,
        by_hand: impl Way + 'static,
    ) -> Self {
        let bare: SharedWay = Arc::new(ByStore(store.clone()));
        let layered: SharedWay = if coalesced {
            let coalesced = store.with_coalescing(CoalesceConfig::default());
            Arc::new(ByStore(Arc::new(coalesced.expect("legal settings"))))
        } else {
            Arc::clone(&bare)
        };
        Self { name, bare, layered, by_hand: Arc::new(by_hand) }
    }
}

/// Everything that runs for as long as the benchmark does.
struct Stage {
    backends: Vec<Backend>,
    held: Vec<Rsvp>,
    _servers: (Database, Keyspace, TempDir),
}

fn listed() -> EventId {
    EventId::new("listed").expect("a legal id")
}

impl Stage {
    async fn start() -> Self {
        // 1. Servers and files.
        let database = Database::start().await;
        database.start_over(0).await;
        database.baseline.index_users().await;
        let keyspace = Keyspace::start(Persistence::EverySecond).await;
        let folder = tempfile::tempdir().expect("a folder");
        let file = SqliteStore::open(SqliteConfig::new(folder.path().join("store.db")));
        let file = file.await.expect("a store in a file");
        let file_by_hand = SqliteBaseline::create(&folder.path().join("baseline.db"));
        // 2. A set in memory has nothing to gain from batches, and the file makes its own.
        let (postgres, redis) = (Arc::clone(&database.store), Arc::clone(&keyspace.store));
        let backends = vec![
            Backend::new(
                "memory",
                Arc::default() as Arc<MemoryStore>,
                false,
                MemoryBaseline::default(),
            ),
            Backend::new("sqlite", Arc::new(file), false, file_by_hand),
            Backend::new("redis", redis, true, keyspace.baseline.clone()),
            Backend::new("postgres", postgres, true, database.baseline.clone()),
        ];
        // 3. The same RSVPs everywhere.
        let pairs = Pairs::of(EVENTS).with_users(USERS);
        let number = if Invocation::is_try() { 1_000 } else { 50_000 };
        let held: Vec<Rsvp> = (0..number).map(|n| pairs.nth(n)).collect();
        let user = |n| UserId::new(format!("l{n:012}")).expect("a legal id");
        let listed: Vec<_> = (0..LISTED).map(|n| Rsvp::new(user(n), listed())).collect();
        for way in backends.iter().flat_map(|backend| [&backend.bare, &backend.by_hand]) {
            for batch in held.chunks(1_000).chain([&listed[..]]) {
                way.rsvp(batch).await;
            }
        }
        database.execute("VACUUM ANALYZE").await;
        Self { backends, held, _servers: (database, keyspace, folder) }
    }
}

/// The calls of one iteration.
#[derive(Clone, Copy)]
enum Calls {
    /// One call with all entries.
    Together,
    /// A call for each entry, all at once.
    Each,
}

/// What is called.
#[derive(Clone, Copy)]
enum Call {
    Rsvp,
    HasRsvped,
    Count,
}

impl Call {
    const ALL: [Self; 3] = [Self::Rsvp, Self::HasRsvped, Self::Count];

    fn name(self) -> &'static str {
        match self {
            Self::Rsvp => "rsvp",
            Self::HasRsvped => "has_rsvped",
            Self::Count => "rsvp_count",
        }
    }
}

/// Draws the entries of calls.
#[derive(Clone)]
struct Source {
    held: Arc<Vec<Rsvp>>,
    /// RSVPs that nobody has, and numbers.
    new: Arc<Pairs>,
}

impl Source {
    fn entries(&self, call: Call, count: usize) -> (Vec<Rsvp>, Vec<EventId>) {
        match call {
            Call::Rsvp => {
                ((0..count).map(|_| self.new.nth(self.new.number())).collect(), Vec::new())
            }
            Call::HasRsvped => {
                let draw = self.new.draw(count, self.held.len() as u64);
                (draw.filter_map(|n| self.held.get(n as usize).cloned()).collect(), Vec::new())
            }
            Call::Count => (Vec::new(), self.new.draw(count, EVENTS).map(Pairs::event).collect()),
        }
    }
}

async fn call(way: &dyn Way, call: Call, pairs: &[Rsvp], events: &[EventId]) {
    match call {
        Call::Rsvp => way.rsvp(pairs).await,
        Call::HasRsvped => {
            std::hint::black_box(way.has_rsvped(pairs).await);
        }
        Call::Count => {
            std::hint::black_box(way.rsvp_count(events).await);
        }
    }
}

/// The time of so many iterations, without that of drawing their entries.
async fn time(
    way: &SharedWay,
    source: &Source,
    of: Call,
    calls: Calls,
    entries: usize,
    times: u64,
) -> Duration {
    let mut taken = Duration::ZERO;
    for _ in 0..times {
        let (pairs, events) = source.entries(of, entries);
        match calls {
            Calls::Together => {
                let start = Instant::now();
                call(&**way, of, &pairs, &events).await;
                taken += start.elapsed();
            }
            Calls::Each => {
                // Tasks, as the callers of a service are.
                let pairs = pairs.into_iter().map(|pair| (vec![pair], Vec::new()));
                let events = events.into_iter().map(|event| (Vec::new(), vec![event]));
                let entries: Vec<_> = pairs.chain(events).collect();
                let start = Instant::now();
                let callers = entries.into_iter().map(|(pairs, events)| {
                    let way = Arc::clone(way);
                    tokio::spawn(async move { call(&*way, of, &pairs, &events).await })
                });
                for done in join_all(callers).await {
                    done.expect("no panic");
                }
                taken += start.elapsed();
            }
        }
    }
    taken
}

/// One group: the rows of every backend.
struct Rows<'a> {
    runtime: &'a Runtime,
    source: Source,
    of: Call,
    entries: usize,
}

impl Rows<'_> {
    fn add(
        &self,
        group: &mut BenchmarkGroup<'_, WallTime>,
        name: String,
        way: &SharedWay,
        calls: Calls,
    ) {
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter_custom(|times| {
                let time = time(way, &self.source, self.of, calls, self.entries, times);
                self.runtime.block_on(time)
            });
        });
    }
}

fn compare(criterion: &mut Criterion) {
    if Invocation::of("backends") == Invocation::Skip && !names_a_group() {
        return;
    }
    let runtime = Runtime::new().expect("a runtime");
    let stage = runtime.block_on(Stage::start());
    let held = Arc::new(stage.held.clone());
    let source = |events| Source { held: Arc::clone(&held), new: Arc::new(Pairs::of(events)) };
    let everywhere = source(EVENTS);
    let groups = [
        ("single", 1, Calls::Together, &everywhere),
        ("batch", BATCH, Calls::Together, &everywhere),
        ("callers", BATCH, Calls::Each, &everywhere),
        ("hot_event", BATCH, Calls::Each, &source(1)),
    ];
    for (title, entries, calls, source) in groups {
        let hot = title == "hot_event";
        for of in Call::ALL.into_iter().filter(|of| !hot || matches!(of, Call::Rsvp)) {
            let mut group = criterion.benchmark_group(format!("{title}/{}", of.name()));
            group.throughput(Throughput::Elements(entries as u64));
            let rows = Rows { runtime: &runtime, source: source.clone(), of, entries };
            for Backend { name, bare, layered, by_hand } in &stage.backends {
                let store = if matches!(calls, Calls::Each) { layered } else { bare };
                rows.add(&mut group, (*name).to_owned(), store, calls);
                // Both ways make a single call from one task.
                let each = if entries > 1 { Calls::Each } else { calls };
                rows.add(&mut group, format!("{name}_by_hand"), by_hand, each);
                if entries > 1 {
                    let name = format!("{name}_by_hand_batched");
                    rows.add(&mut group, name, by_hand, Calls::Together);
                }
            }
            group.finish();
        }
    }
    lists(criterion, &runtime, &stage);
}

/// Whether the command line names a group of this target, and not another target.
fn names_a_group() -> bool {
    let groups = ["single", "batch", "callers", "hot_event", "lists"];
    std::env::args().skip(1).any(|word| groups.iter().any(|group| word.contains(group)))
}

fn lists(criterion: &mut Criterion, runtime: &Runtime, stage: &Stage) {
    let (event, users) = (listed(), stage.held.iter().map(|pair| &pair.user));
    for of in ["attendees", "events_of"] {
        let mut group = criterion.benchmark_group(format!("lists/{of}"));
        for Backend { name, bare, by_hand, .. } in &stage.backends {
            let mut ways = vec![((*name).to_owned(), bare)];
            // A set of pairs in memory cannot list anything without reading all of it.
            if *name != "memory" {
                ways.push((format!("{name}_by_hand"), by_hand));
            }
            for (name, way) in ways {
                group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                    let mut users = users.clone().cycle();
                    bencher.iter(|| match (of, users.next()) {
                        ("events_of", Some(user)) => runtime.block_on(way.events_of(user)),
                        _ => runtime.block_on(way.attendees(&event)),
                    });
                });
            }
        }
        group.finish();
    }
}

criterion_group! {
    name = backends;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = compare
}
criterion_main!(backends);
