//! The fewest servers that hold the data and carry the load.

use crate::constants as measured;
use crate::engine::{Calls, Engine, ROUNDS};
use crate::plan::{Backend, Latency, Service, Store};
use crate::{Assumptions, Case, Range, Workload};

/// The most virtual processors of one machine.
const MACHINE_VCPUS: f64 = 64.0;
/// The most of an instance where there may be several. Few large instances make larger batches than
/// many small ones.
const INSTANCE_VCPUS: f64 = 32.0;
/// The instances that share the load, until they are as large as they may be.
const INSTANCES: f64 = 4.0;
/// The gigabytes of memory beside each virtual processor.
const GB_A_VCPU: f64 = 4.0;
/// The servers of each shard: a primary and two standbys, of which one must have each write. With one
/// standby alone, writes would stop while it is away.
const COPIES: f64 = 3.0;
/// The servers of a cluster that vote on a failover.
const VOTERS: f64 = 3.0;
const MOST_SHARDS: usize = 1024;
/// The most shards that a hot event is divided over.
const MOST_SPREAD: usize = 64;
/// The pool of `rsvp-postgres`, and the shared and other connections of `rsvp-redis` to a primary.
const POSTGRES_POOL: f64 = 10.0;
const REDIS_CONNECTIONS: f64 = 10.0;
/// The service levels, in milliseconds.
const LEVELS: [(&str, f64); 3] =
    [("has_rsvped", 50.0), ("rsvp, cancel", 150.0), ("rsvp_count", 100.0)];

/// The bytes of an RSVP in each backend.
pub(crate) const BYTES: [(&str, measured::Measured); 4] = [
    ("memory", measured::MEMORY_PAIR),
    ("sqlite", measured::SQLITE_PAIR),
    ("postgres", measured::POSTGRES_PAIR),
    ("redis", measured::REDIS_PAIR),
];

/// The inputs of a plan.
pub(crate) struct Planner<'a> {
    pub(crate) backend: Backend,
    pub(crate) work: &'a Workload,
    pub(crate) assumptions: &'a Assumptions,
    pub(crate) case: Case,
}

impl Planner<'_> {
    fn assumed(&self, range: Range) -> f64 {
        range.of(self.case)
    }

    pub(crate) fn service(&self) -> Service {
        let a = self.assumptions;
        let seconds = measured::HTTP_REQUEST.value * 1e-6 * self.assumed(a.host_factor);
        let needed = self.work.requests() * seconds / self.assumed(a.utilisation);
        if self.backend.is_one_process() {
            return Service { instances: 1.0, vcpus: power_of_two(needed, 2.0) };
        }
        let vcpus = power_of_two(needed / INSTANCES, 2.0).min(INSTANCE_VCPUS);
        // One is spare, for a deploy or the loss of one.
        Service { instances: (needed / vcpus).ceil() + 1.0, vcpus }
    }

    pub(crate) fn copies_kept(&self) -> f64 {
        self.assumed(self.assumptions.copies_kept)
    }

    fn data(&self) -> f64 {
        let each = BYTES.into_iter().find(|(name, _)| *name == self.backend.name());
        each.map_or(0.0, |(_, each)| self.work.rsvps * each.value)
    }

    /// The fewest shards, and then the smallest spread, that hold the data and carry the load.
    pub(crate) fn store(&self, service: Service) -> (Store, Vec<Latency>) {
        let a = self.assumptions;
        let data = self.data();
        let calls = Calls::of(self.work, service.instances, a, self.case);
        let limit = match self.backend {
            Backend::Redis => self.assumed(a.memory_limit),
            _ => self.assumed(a.disk_limit),
        };
        let fewest = if self.backend.is_one_process() { 1.0 } else { (data / limit).ceil() };
        let most = if self.backend.is_one_process() { 1 } else { MOST_SHARDS };
        let mut found = None;
        'search: for shards in (1..=most).map(|shards| shards as f64) {
            // A cluster has at least as many primaries as it needs votes.
            let lonely = self.backend == Backend::Redis && shards > 1.0 && shards < VOTERS;
            if shards < fewest || lonely {
                continue;
            }
            for spread in (1..=MOST_SPREAD).map(|spread| spread as f64) {
                if spread > shards {
                    break;
                }
                let load = self.load(&calls, shards, spread);
                found = Some((shards, spread, load));
                if load <= self.assumed(a.utilisation) && self.in_time(service, shards, load) {
                    break 'search;
                }
            }
        }
        let (shards, spread, load) =
            found.unwrap_or_else(|| (fewest, 1.0, self.load(&calls, fewest, 1.0)));
        let (memory, disk) = self.memory_and_disk(data / shards);
        let copies = if self.backend.is_one_process() { 1.0 } else { COPIES };
        let vcpus = match self.backend {
            // The machine is the service's.
            Backend::Memory | Backend::Sqlite => service.vcpus,
            // Commands are executed by one thread.
            Backend::Redis => power_of_two(memory / 1e9 / 8.0, 2.0),
            Backend::Postgres => power_of_two(memory / 1e9 / GB_A_VCPU, 2.0),
        };
        let connections = match self.backend {
            Backend::Memory | Backend::Sqlite => 0.0,
            Backend::Postgres => service.instances * POSTGRES_POOL,
            Backend::Redis => service.instances * REDIS_CONNECTIONS,
        };
        let store = Store {
            data,
            shards,
            spread,
            nodes: shards * copies,
            vcpus,
            memory,
            disk,
            connections,
            load,
        };
        (store, self.latency(service, shards, load))
    }

    fn engine(&self, shards: f64) -> Option<Engine> {
        let engine = Engine::of(self.backend)?;
        let is_cluster = self.backend == Backend::Redis && shards > 1.0;
        let factor = self.assumed(self.assumptions.cluster_writes);
        Some(if is_cluster { engine.clustered(factor) } else { engine })
    }

    fn load(&self, calls: &Calls, shards: f64, spread: f64) -> f64 {
        self.engine(shards).map_or(0.0, |engine| engine.load(calls, shards, spread))
    }

    fn in_time(&self, service: Service, shards: f64, load: f64) -> bool {
        let latency = self.latency(service, shards, load);
        !latency.is_empty() && latency.iter().all(|latency| latency.headroom >= 1.0)
    }

    fn latency(&self, service: Service, shards: f64, load: f64) -> Vec<Latency> {
        if load >= 1.0 {
            return Vec::new();
        }
        let a = self.assumptions;
        let engine = self.engine(shards);
        let round = engine.map_or(0.0, |engine| engine.round(service.instances, load));
        let (trip, commit) = (self.assumed(a.round_trip), self.assumed(a.commit));
        // A write to a server is acknowledged by a standby, which is one trip more.
        let (read, write) = match self.backend {
            Backend::Memory => (0.0, 0.0),
            Backend::Sqlite => (0.0, commit),
            Backend::Postgres => (trip, 2.0 * trip + commit),
            Backend::Redis => (trip, 2.0 * trip),
        };
        let own = measured::HTTP_REQUEST.value * 1e-6 * self.assumed(a.host_factor);
        let latency = |(operation, level_ms): (&'static str, f64)| {
            let extra = if operation == "rsvp, cancel" { write } else { read };
            let p95_ms = 1e3 * (ROUNDS * round + extra + own);
            Latency { operation, p95_ms, level_ms, headroom: level_ms / p95_ms }
        };
        LEVELS.map(latency).into()
    }

    /// The bytes of memory and of disk of a server with this much data.
    fn memory_and_disk(&self, data: f64) -> (f64, f64) {
        let a = self.assumptions;
        let in_memory = data * self.assumed(a.memory_overhead);
        let on_disk = data * self.assumed(a.disk_overhead);
        let cached = data * self.assumed(a.hot_data);
        match self.backend {
            Backend::Memory => (1e9 * power_of_two(in_memory / 1e9, 4.0), 0.0),
            Backend::Sqlite => (1e9 * power_of_two(cached / 1e9, 4.0), on_disk.max(2e10)),
            Backend::Postgres => (1e9 * power_of_two(cached / 1e9, 8.0), on_disk.max(2e10)),
            // A snapshot or a log that is rewritten takes as much again.
            Backend::Redis => {
                (1e9 * power_of_two(in_memory / 1e9, 4.0), (2.0 * in_memory).max(2e10))
            }
        }
    }

    /// Why it does not fit.
    pub(crate) fn remarks(&self, service: Service, store: &Store) -> Vec<String> {
        let mut remarks = Vec::new();
        let limit = self.assumed(self.assumptions.utilisation);
        if store.load > limit {
            let reason = "the store would work more than the planned share of its time";
            remarks.push(format!("{reason}: {:.2} of {limit}", store.load));
        }
        if store.shards > MOST_SHARDS as f64 {
            remarks.push(format!("the data would need more than {MOST_SHARDS} shards"));
        }
        if self.backend.is_one_process() {
            if service.vcpus > MACHINE_VCPUS {
                let vcpus = service.vcpus;
                remarks.push(format!("one process would need {vcpus} processors for its requests"));
            }
            if store.memory > 1e9 * GB_A_VCPU * MACHINE_VCPUS {
                remarks.push("more memory than a machine has".to_owned());
            }
        }
        remarks
    }

    /// The warnings.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        match self.backend {
            Backend::Memory => warnings.push("a restart loses every RSVP".to_owned()),
            Backend::Sqlite => {
                warnings.push("one machine: its loss stops the service until a restore".to_owned());
            }
            _ => {}
        }
        if self.backend == Backend::Sqlite && self.work.rsvps > 1e7 {
            warnings.push("measured up to 10,000,000 RSVPs only".to_owned());
        }
        warnings
    }
}

/// The power of two that is not below the number, and not below the least one.
fn power_of_two(number: f64, least: f64) -> f64 {
    number.max(least).log2().ceil().exp2()
}
