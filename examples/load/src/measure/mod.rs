//! Latencies, errors and staleness, as they are recorded.

mod histogram;
mod recorder;

use std::collections::BTreeMap;
use std::time::Duration;

pub use self::histogram::Latencies;
pub(crate) use self::recorder::Recorder;
use crate::Operation;

/// The measurements of a run.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// By kind of call.
    pub operations: BTreeMap<Operation, Calls>,
    /// How long calls were made.
    pub elapsed: Duration,
    /// Whether an open loop began calls later than they were due: its clock was late, or every caller
    /// still waited for the store.
    pub saturated: bool,
    /// Calls that were due and that no caller was free for until the end.
    pub not_begun: u64,
    /// The largest staleness of a count.
    pub max_count_staleness: Duration,
    /// Reads that lacked a write that was acknowledged before.
    pub read_your_writes_misses: u64,
    /// The run in steps of about a second.
    pub ticks: Vec<Tick>,
    /// The beginning and the end of each burst of calls.
    pub bursts: Vec<(Duration, Duration)>,
    /// The first message of each kind of error.
    pub messages: BTreeMap<String, String>,
}

/// The calls of one kind.
#[derive(Clone, Debug, Default)]
pub struct Calls {
    /// The latencies of the calls that were answered.
    pub latencies: Latencies,
    /// The number of failed calls by kind of error.
    pub errors: BTreeMap<String, u64>,
}

impl Calls {
    /// The number of answered calls.
    #[must_use]
    pub fn completed(&self) -> u64 {
        self.latencies.len()
    }

    /// The number of failed calls.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    fn add(&mut self, other: &Self) {
        self.latencies.add(&other.latencies);
        for (kind, number) in &other.errors {
            *self.errors.entry(kind.clone()).or_default() += number;
        }
    }
}

/// About a second of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tick {
    /// Its end, from the beginning of the run.
    pub at: Duration,
    /// Its length.
    pub length: Duration,
    /// Calls that were answered in it.
    pub completed: u64,
    /// Calls that failed in it.
    pub failed: u64,
    /// Calls that were due in it, in an open loop.
    pub offered: Option<f64>,
    /// Percentiles of the latencies of the calls that were answered in it.
    pub p50: Duration,
    /// The 99th.
    pub p99: Duration,
    /// The 99.9th.
    pub p999: Duration,
    /// The largest staleness of a count in it.
    pub staleness: Duration,
}

impl Tick {
    /// Answered calls a second.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        per_second(self.completed, self.length)
    }
}

/// A number of events in some time, by the second.
pub(crate) fn per_second(number: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { number as f64 / time.as_secs_f64() }
}

impl Measured {
    /// The number of answered calls of all kinds.
    #[must_use]
    pub fn completed(&self) -> u64 {
        self.operations.values().map(Calls::completed).sum()
    }

    /// The number of failed calls of all kinds.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.operations.values().map(Calls::failed).sum()
    }

    /// Answered calls of all kinds a second.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        per_second(self.completed(), self.elapsed)
    }

    /// Adds a later run of the same plan.
    pub fn append(&mut self, later: Self) {
        for (operation, calls) in &later.operations {
            self.operations.entry(*operation).or_default().add(calls);
        }
        let shift = self.elapsed;
        self.ticks.extend(later.ticks.iter().map(|tick| Tick { at: tick.at + shift, ..*tick }));
        self.bursts
            .extend(later.bursts.iter().map(|(from, until)| (*from + shift, *until + shift)));
        self.elapsed += later.elapsed;
        self.saturated |= later.saturated;
        self.not_begun += later.not_begun;
        self.max_count_staleness = self.max_count_staleness.max(later.max_count_staleness);
        self.read_your_writes_misses += later.read_your_writes_misses;
        for (kind, message) in later.messages {
            self.messages.entry(kind).or_insert(message);
        }
    }
}
