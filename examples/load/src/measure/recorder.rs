//! Recording from many tasks at once.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Calls, Latencies, Measured, Tick};
use crate::Operation;
use crate::target::Failed;

/// Callers share this many parts, so that they seldom wait for each other.
const PARTS: usize = 8;

/// The measurements of a run that is going on.
#[derive(Debug)]
pub(crate) struct Recorder {
    parts: [Mutex<Part>; PARTS],
}

#[derive(Debug, Default)]
struct Part {
    total: [Calls; Operation::ALL.len()],
    messages: BTreeMap<String, String>,
    misses: u64,
    staleness: Duration,
    tick: Current,
}

/// The time since the last tick.
#[derive(Debug, Default)]
struct Current {
    latencies: Latencies,
    failed: u64,
    staleness: Duration,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self { parts: std::array::from_fn(|_| Mutex::default()) }
    }

    fn part(&self, caller: usize) -> Option<MutexGuard<'_, Part>> {
        self.parts.get(caller % PARTS).map(lock)
    }

    pub(crate) fn answered(&self, caller: usize, operation: Operation, latency: Duration) {
        if let Some(mut part) = self.part(caller) {
            if let Some(calls) = part.total.get_mut(operation as usize) {
                calls.latencies.record(latency);
            }
            part.tick.latencies.record(latency);
        }
    }

    pub(crate) fn failed(&self, caller: usize, operation: Operation, failed: Failed) {
        if let Some(mut part) = self.part(caller) {
            let Failed { kind, message, .. } = failed;
            if let Some(calls) = part.total.get_mut(operation as usize) {
                *calls.errors.entry(kind.clone()).or_default() += 1;
            }
            part.messages.entry(kind).or_insert(message);
            part.tick.failed += 1;
        }
    }

    pub(crate) fn missed(&self, caller: usize) {
        if let Some(mut part) = self.part(caller) {
            part.misses += 1;
        }
    }

    pub(crate) fn stale(&self, caller: usize, staleness: Duration) {
        if let Some(mut part) = self.part(caller) {
            part.staleness = part.staleness.max(staleness);
            part.tick.staleness = part.tick.staleness.max(staleness);
        }
    }

    /// The time since the last tick, which ends now.
    pub(crate) fn tick(&self, at: Duration, length: Duration, offered: Option<f64>) -> Tick {
        let mut latencies = Latencies::default();
        let mut tick = Tick { at, length, offered, ..Tick::default() };
        for part in &self.parts {
            let current = &mut lock(part).tick;
            latencies.add(&current.latencies);
            tick.failed += current.failed;
            tick.staleness = tick.staleness.max(current.staleness);
            current.latencies.reset();
            (current.failed, current.staleness) = (0, Duration::ZERO);
        }
        let quantile = |share| latencies.quantile(share).unwrap_or_default();
        tick.completed = latencies.len();
        (tick.p50, tick.p99, tick.p999) = (quantile(0.5), quantile(0.99), quantile(0.999));
        tick
    }

    /// Everything so far, without ticks.
    pub(crate) fn measured(&self) -> Measured {
        let mut measured = Measured::default();
        for part in &self.parts {
            let part = lock(part);
            for (operation, calls) in Operation::ALL.iter().zip(&part.total) {
                measured.operations.entry(*operation).or_default().add(calls);
            }
            measured.read_your_writes_misses += part.misses;
            measured.max_count_staleness = measured.max_count_staleness.max(part.staleness);
            for (kind, message) in &part.messages {
                measured.messages.entry(kind.clone()).or_insert_with(|| message.clone());
            }
        }
        measured
    }
}

fn lock(part: &Mutex<Part>) -> MutexGuard<'_, Part> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}
