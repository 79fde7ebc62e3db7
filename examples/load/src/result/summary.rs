//! A run as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Slo;
use crate::measure::{Calls, Measured, per_second};
use crate::{Environment, Operation, Plan};

/// A run as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The name of the scenario.
    pub scenario: String,
    /// The name of the store, or its URL without a password.
    pub store: String,
    /// The number of calls at once at most.
    pub callers: usize,
    /// Calls a second, in an open loop. That of `ticket-drop` is the rate of its quiet phases.
    pub rate: Option<f64>,
    /// How long the run took.
    pub seconds: f64,
    /// Whether the generator fell behind its rate: its clock was late, or every caller still waited.
    pub saturated: bool,
    /// Calls of an open loop that were due and that no caller was free for until the end. No latency
    /// stands for them.
    pub not_begun: u64,
    /// The seed of every random choice.
    pub seed: u64,
    /// Answered calls of all kinds a second.
    pub calls_per_second: f64,
    /// By kind of call: the four verbs, and the lists if there was any.
    pub operations: BTreeMap<String, OperationSummary>,
    /// The largest staleness of a count, measured against acknowledged writes.
    pub max_count_staleness_ms: f64,
    /// The number of reads that lacked a write that was acknowledged before they began.
    pub read_your_writes_misses: u64,
    /// The service levels.
    pub slo: Slo,
    /// The highest rate at which the service levels are met, if it was looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rate: Option<f64>,
    /// The same run by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_hand: Option<Box<Summary>>,
    /// The store's calls a second for each call by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// The machine and the program that measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
}

/// The calls of one kind. Latencies are in microseconds, and null if no call was answered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OperationSummary {
    /// Answered calls.
    pub completed: u64,
    /// Answered calls a second.
    pub per_second: f64,
    /// The number of failed calls by kind of error.
    pub errors: BTreeMap<String, u64>,
    /// The median latency.
    pub p50_us: Option<f64>,
    /// The 95th percentile.
    pub p95_us: Option<f64>,
    /// The 99th.
    pub p99_us: Option<f64>,
    /// The 99.9th.
    pub p999_us: Option<f64>,
    /// The longest latency.
    pub max_us: Option<f64>,
}

impl OperationSummary {
    fn new(calls: &Calls, elapsed: Duration) -> Self {
        let quantile = |share| calls.latencies.quantile(share).map(microseconds);
        Self {
            completed: calls.completed(),
            per_second: rounded(per_second(calls.completed(), elapsed), 1),
            errors: calls.errors.clone(),
            p50_us: quantile(0.5),
            p95_us: quantile(0.95),
            p99_us: quantile(0.99),
            p999_us: quantile(0.999),
            max_us: calls.latencies.max().map(microseconds),
        }
    }
}

impl Summary {
    /// The measurements of `plan` on a store of this name.
    #[must_use]
    pub fn new(store: &str, plan: &Plan, measured: &Measured) -> Self {
        let calls = |operation: &Operation| measured.operations.get(operation).cloned();
        let shown = Operation::ALL.iter().filter_map(|operation| {
            let calls = calls(operation).unwrap_or_default();
            let shown = operation.is_verb() || calls.completed() + calls.failed() > 0;
            let summary = || OperationSummary::new(&calls, measured.elapsed);
            shown.then(|| (operation.to_string(), summary()))
        });
        Self {
            scenario: plan.scenario.to_string(),
            store: store.to_owned(),
            callers: plan.callers,
            rate: plan.rate,
            seconds: rounded(measured.elapsed.as_secs_f64(), 3),
            saturated: measured.saturated,
            not_begun: measured.not_begun,
            seed: plan.seed,
            calls_per_second: rounded(measured.per_second(), 1),
            operations: shown.collect(),
            max_count_staleness_ms: milliseconds(measured.max_count_staleness),
            read_your_writes_misses: measured.read_your_writes_misses,
            slo: Slo::new(measured),
            max_rate: None,
            by_hand: None,
            ratio: None,
            environment: None,
        }
    }

    /// Adds the same run by hand, and the ratio.
    #[must_use]
    pub fn with_by_hand(self, by_hand: Self) -> Self {
        let ratio = self.calls_per_second / by_hand.calls_per_second;
        let ratio = ratio.is_finite().then(|| rounded(ratio, 3));
        Self { ratio, by_hand: Some(Box::new(by_hand)), ..self }
    }

    /// Adds the machine and the program that measured.
    #[must_use]
    pub fn with_environment(self, environment: Environment) -> Self {
        Self { environment: Some(environment), ..self }
    }

    /// Sets the highest rate at which the service levels are met.
    #[must_use]
    pub fn with_max_rate(self, max_rate: Option<f64>) -> Self {
        Self { max_rate, ..self }
    }
}

fn microseconds(time: Duration) -> f64 {
    rounded(time.as_secs_f64() * 1e6, 3)
}

pub(super) fn milliseconds(time: Duration) -> f64 {
    rounded(time.as_secs_f64() * 1e3, 6)
}

/// Fewer digits, which nobody reads and no run repeats.
pub(super) fn rounded(number: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (number * scale).round() / scale
}
