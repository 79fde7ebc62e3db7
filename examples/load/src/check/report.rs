//! The measurements of a run, and its wrong answers.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// How many differences are described; the rest is only counted.
const DESCRIBED: usize = 10;

/// The measurements and differences of one connection.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    latencies: BTreeMap<&'static str, Vec<Duration>>,
    differences: usize,
    described: Vec<String>,
}

impl Tally {
    pub(crate) fn took(&mut self, verb: &'static str, latency: Duration) {
        self.latencies.entry(verb).or_default().push(latency);
    }

    pub(crate) fn check(&mut self, right: bool, describe: impl FnOnce() -> String) {
        if !right {
            self.differences += 1;
            if self.described.len() < DESCRIBED {
                self.described.push(describe());
            }
        }
    }

    fn merge_differences(&mut self, other: &mut Self) {
        self.differences += other.differences;
        self.described.append(&mut other.described);
        self.described.truncate(DESCRIBED);
    }
}

/// The measurements and differences of a whole run. It prints as a table.
#[derive(Debug)]
pub struct Report {
    operations: usize,
    took: Duration,
    tally: Tally,
}

impl Report {
    pub(crate) fn new(operations: usize) -> Self {
        Self { operations, took: Duration::ZERO, tally: Tally::default() }
    }

    pub(crate) fn add(&mut self, mut tally: Tally) {
        self.tally.merge_differences(&mut tally);
        for (verb, mut latencies) in tally.latencies {
            self.tally.latencies.entry(verb).or_default().append(&mut latencies);
        }
    }

    pub(crate) fn took(&mut self, took: Duration) {
        self.took = took;
    }

    /// Adds the differences of the final comparison, but not its latencies, since it has the service
    /// to itself.
    pub(crate) fn verified(&mut self, mut tally: Tally) {
        self.tally.merge_differences(&mut tally);
        for latencies in self.tally.latencies.values_mut() {
            latencies.sort_unstable();
        }
    }

    /// The number of answers that differ from the model.
    pub fn differences(&self) -> usize {
        self.tally.differences
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.operations as f64 / self.took.as_secs_f64();
        let seconds = self.took.as_secs_f64();
        writeln!(f, "{} operations in {seconds:.1} s: {rate:.0} a second", self.operations)?;
        writeln!(f, "{:<12}{:>10}{:>12}{:>12}{:>12}", "requests", "number", "p50", "p95", "p99")?;
        for (verb, sorted) in &self.tally.latencies {
            write!(f, "{verb:<12}{:>10}", sorted.len())?;
            for percent in [50, 95, 99] {
                let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
                let latency = sorted.get(at).copied().unwrap_or_default();
                write!(f, "{:>9.3} ms", latency.as_secs_f64() * 1000.0)?;
            }
            writeln!(f)?;
        }
        for difference in &self.tally.described {
            writeln!(f, "{difference}")?;
        }
        write!(f, "differences: {}", self.tally.differences)
    }
}
