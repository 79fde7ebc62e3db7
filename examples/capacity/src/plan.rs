//! The deployment of each backend, its latency and its cost.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::planner::Planner;
use crate::{Assumptions, Case, Prices, Workload};

/// The gigabytes of memory beside each virtual processor of an instance.
const SERVICE_GB_A_VCPU: f64 = 2.0;

/// A backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Backend {
    /// `rsvp-memory`.
    Memory,
    /// `rsvp-sqlite`.
    Sqlite,
    /// `rsvp-postgres`, one server or several as shards.
    Postgres,
    /// `rsvp-redis`, one server or a cluster.
    Redis,
}

impl Backend {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Memory, Self::Sqlite, Self::Postgres, Self::Redis];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Redis => "redis",
        }
    }

    /// Whether the service and the store are one process.
    pub(crate) fn is_one_process(self) -> bool {
        matches!(self, Self::Memory | Self::Sqlite)
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Backend {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|backend| backend.name() == text).ok_or_else(|| {
            format!("there is no backend `{text}`; backends: memory, sqlite, postgres, redis")
        })
    }
}

/// The instances of the service.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Service {
    /// How many, one of them spare where there may be several.
    pub instances: f64,
    /// The virtual processors of each.
    pub vcpus: f64,
}

/// The servers of the store. For a backend without servers these are the machine's own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Store {
    /// Bytes of data, one copy, without overhead.
    pub data: f64,
    /// The shards, or the primaries of a cluster.
    pub shards: f64,
    /// On how many of them each event is.
    pub spread: f64,
    /// The servers: all copies of all shards.
    pub nodes: f64,
    /// The virtual processors of each.
    pub vcpus: f64,
    /// The bytes of memory of each.
    pub memory: f64,
    /// The bytes of disk of each.
    pub disk: f64,
    /// The connections to a primary from all instances.
    pub connections: f64,
    /// The share of its time that the busiest works in the busiest second, in large batches.
    pub load: f64,
}

/// The latency of an operation in the busiest second.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Latency {
    /// The operation.
    pub operation: &'static str,
    /// 95 of 100 calls take at most this, in milliseconds.
    pub p95_ms: f64,
    /// The service level.
    pub level_ms: f64,
    /// The level as a multiple of the p95.
    pub headroom: f64,
}

/// The cost of a month in US dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Cost {
    /// Instances of the service, and the balancer.
    pub service: f64,
    /// Processors and memory of the store's servers.
    pub store: f64,
    /// Their disks.
    pub disk: f64,
    /// Object storage.
    pub backup: f64,
    /// All of it.
    pub total: f64,
}

/// The deployment of a backend.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// The backend.
    pub backend: Backend,
    /// Whether it carries the load within the service levels.
    pub fits: bool,
    /// The reasons if it does not, and warnings.
    pub remarks: Vec<String>,
    /// The instances of the service.
    pub service: Service,
    /// The servers of the store.
    pub store: Store,
    /// The latency of each operation, if the load is below 1.
    pub latency: Vec<Latency>,
    /// The cost of a month.
    pub cost: Cost,
}

impl Plan {
    /// The plan of a backend.
    #[must_use]
    pub fn of(
        backend: Backend,
        work: &Workload,
        (assumptions, case): (&Assumptions, Case),
        prices: &Prices,
    ) -> Self {
        let planner = Planner { backend, work, assumptions, case };
        let service = planner.service();
        let (store, latency) = planner.store(service);
        let mut remarks = planner.remarks(service, &store);
        let slow = latency.iter().filter(|latency| latency.headroom < 1.0);
        remarks.extend(slow.map(|slow| format!("{} would be too slow", slow.operation)));
        let fits = remarks.is_empty();
        remarks.extend(planner.warnings());
        let cost = Cost::of(&planner, service, &store, prices);
        Self { backend, fits, remarks, service, store, latency, cost }
    }
}

impl Cost {
    fn of(planner: &Planner<'_>, service: Service, store: &Store, prices: &Prices) -> Self {
        let machine =
            |vcpus: f64, memory: f64| vcpus * prices.vcpu + memory / 1e9 * prices.memory_gb;
        let one_process = planner.backend.is_one_process();
        let own_memory = SERVICE_GB_A_VCPU * 1e9 * service.vcpus;
        // A store inside the service is on its machine.
        let memory = if one_process { own_memory + store.memory } else { own_memory };
        let instances = service.instances * machine(service.vcpus, memory);
        let balancer = if one_process { 0.0 } else { prices.balancer };
        let servers = store.nodes * machine(store.vcpus, store.memory) * prices.managed_factor;
        let kept = if planner.backend == Backend::Memory { 0.0 } else { planner.copies_kept() };
        let mut cost = Self {
            service: instances + balancer,
            store: if one_process { 0.0 } else { servers },
            disk: store.nodes * store.disk / 1e9 * prices.disk_gb,
            backup: store.data * kept / 1e9 * prices.backup_gb,
            total: 0.0,
        };
        cost.total = cost.service + cost.store + cost.disk + cost.backup;
        cost
    }
}
