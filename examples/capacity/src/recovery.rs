//! Outages against the error budget, and the time to restore.

use serde::Serialize;

use crate::constants as measured;
use crate::{Assumptions, Backend, Case, Plan, Workload};

/// 99.9 % of a month of 30 days may not be missed by more than this, in seconds.
pub(crate) const BUDGET: f64 = 0.001 * 30.0 * 86_400.0;

/// The default of `cluster-node-timeout` in seconds, and that of the measured cluster.
const NODE_TIMEOUT: f64 = 15.0;
const MEASURED_NODE_TIMEOUT: f64 = 2.0;

/// An outage of writes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Outage {
    /// Its cause.
    pub cause: &'static str,
    /// The time without a write, in seconds, from the loss to the next acknowledgement.
    pub seconds: f64,
    /// How many of them a month's error budget pays for.
    pub in_budget: f64,
}

impl Outage {
    /// The outages that were measured, with the assumed time until they are noticed.
    #[must_use]
    pub fn all(assumptions: &Assumptions, case: Case) -> Vec<Self> {
        let detection = assumptions.detection.of(case);
        let of =
            |cause, seconds: f64| Self { cause, seconds, in_budget: (BUDGET / seconds).floor() };
        let node_timeout = NODE_TIMEOUT - MEASURED_NODE_TIMEOUT;
        vec![
            of("SQLite: the process is killed and started again", measured::SQLITE_OPEN_10M.value),
            of("Postgres: a standby is promoted", detection + measured::POSTGRES_GAP_LONGEST.value),
            of("Redis: a replica is promoted", detection + measured::REDIS_GAP_LONGEST.value),
            of(
                "Redis Cluster: a primary is lost",
                node_timeout + measured::CLUSTER_GAP_LONGEST.value,
            ),
        ]
    }
}

/// The time to restore a store whose servers are lost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Recovery {
    /// The decision, in seconds.
    pub decision: f64,
    /// The copy from object storage, in seconds. Shards are copied at the same time.
    pub copy: f64,
    /// The engine's own work, in seconds.
    pub engine: f64,
    /// All of it: the recovery time objective.
    pub total: f64,
}

impl Recovery {
    /// The restore of a plan's store. None for the memory store, which keeps nothing.
    #[must_use]
    pub fn of(
        plan: &Plan,
        work: &Workload,
        (assumptions, case): (&Assumptions, Case),
    ) -> Option<Self> {
        let rsvps = work.rsvps / plan.store.shards;
        let data = plan.store.data / plan.store.shards;
        let (bytes, engine) = match plan.backend {
            Backend::Memory => return None,
            Backend::Sqlite => {
                let share = (rsvps / 1e7).max(1.0);
                (data, measured::SQLITE_OPEN_10M.value * share)
            }
            Backend::Postgres => {
                let each =
                    measured::POSTGRES_POINT_IN_TIME.value / measured::POSTGRES_DRILL_RSVPS.value;
                (data * assumptions.disk_overhead.of(case), rsvps * each)
            }
            Backend::Redis => {
                let drill = measured::REDIS_DRILL_RSVPS.value;
                let bytes = rsvps * measured::REDIS_RDB_BYTES.value / drill;
                (bytes, rsvps * measured::REDIS_RESTART.value / drill)
            }
        };
        let copy = bytes / assumptions.copy_rate.of(case);
        let decision = assumptions.decision.of(case);
        Some(Self { decision, copy, engine, total: decision + copy + engine })
    }
}
