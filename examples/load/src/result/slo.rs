//! The service levels that a host must be able to reach.

use serde::{Deserialize, Serialize};

use super::summary::{milliseconds, rounded};
use crate::Operation;
use crate::measure::Measured;

/// The service levels beside the measured values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slo {
    /// Whether every target is met, and the generator held its rate. A load that was not put on a store
    /// says nothing about it.
    pub met: bool,
    /// Below 50 ms.
    pub has_rsvped_p95_ms: Goal,
    /// Below 150 ms.
    pub rsvp_p95_ms: Goal,
    /// Below 150 ms.
    pub cancel_p95_ms: Goal,
    /// Below 100 ms.
    pub rsvp_count_p95_ms: Goal,
    /// At most 5 s.
    pub max_count_staleness_ms: Goal,
    /// None.
    pub read_your_writes_misses: Goal,
    /// At most 0.1 % of the calls.
    pub error_percent: Goal,
}

/// One target.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    /// The largest value that meets it, or for a latency the smallest that does not.
    pub target: f64,
    /// The measured value, null if no call was answered.
    pub measured: Option<f64>,
    /// Whether it is met. A target without a measured value is.
    pub met: bool,
}

impl Goal {
    fn below(target: f64, measured: Option<f64>) -> Self {
        Self { target, measured, met: measured.is_none_or(|measured| measured < target) }
    }

    fn at_most(target: f64, measured: f64) -> Self {
        Self { target, measured: Some(measured), met: measured <= target }
    }
}

impl Slo {
    /// Compares the measurements with the service levels.
    #[must_use]
    pub fn new(measured: &Measured) -> Self {
        let p95 = |operation, target| {
            let calls = measured.operations.get(&operation);
            Goal::below(
                target,
                calls.and_then(|calls| calls.latencies.quantile(0.95)).map(milliseconds),
            )
        };
        let failed = measured.failed() as f64;
        let all = failed + measured.completed() as f64;
        let percent = if all > 0.0 { 100.0 * failed / all } else { 0.0 };
        let mut slo = Self {
            met: false,
            has_rsvped_p95_ms: p95(Operation::HasRsvped, 50.0),
            rsvp_p95_ms: p95(Operation::Rsvp, 150.0),
            cancel_p95_ms: p95(Operation::Cancel, 150.0),
            rsvp_count_p95_ms: p95(Operation::RsvpCount, 100.0),
            max_count_staleness_ms: Goal::at_most(
                5_000.0,
                milliseconds(measured.max_count_staleness),
            ),
            read_your_writes_misses: Goal::at_most(0.0, measured.read_your_writes_misses as f64),
            error_percent: Goal {
                measured: Some(rounded(percent, 4)),
                ..Goal::at_most(0.1, percent)
            },
        };
        slo.met = !measured.saturated && slo.goals().iter().all(|(_, _, goal)| goal.met);
        slo
    }

    /// Every target, with its name and its unit.
    #[must_use]
    pub fn goals(&self) -> [(&'static str, &'static str, Goal); 7] {
        [
            ("has_rsvped p95", "ms", self.has_rsvped_p95_ms),
            ("rsvp p95", "ms", self.rsvp_p95_ms),
            ("cancel p95", "ms", self.cancel_p95_ms),
            ("rsvp_count p95", "ms", self.rsvp_count_p95_ms),
            ("count staleness", "ms", self.max_count_staleness_ms),
            ("read-your-writes misses", "", self.read_your_writes_misses),
            ("errors", "%", self.error_percent),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::measure::Calls;

    /// Calls of which one in ten has the second latency.
    fn calls(usual: u64, rare: u64) -> Calls {
        let mut calls = Calls::default();
        for n in 0..1_000 {
            let latency = if n % 10 == 0 { rare } else { usual };
            calls.latencies.record(Duration::from_millis(latency));
        }
        calls
    }

    fn measured(operation: Operation, calls: Calls) -> Measured {
        Measured { operations: [(operation, calls)].into(), ..Measured::default() }
    }

    #[test]
    fn a_latency_at_the_target_misses_it() {
        let slo = Slo::new(&measured(Operation::HasRsvped, calls(1, 60)));
        assert!(!slo.met && !slo.has_rsvped_p95_ms.met, "{slo:?}");
        assert!(slo.rsvp_p95_ms.met, "nothing was measured");
        let slo = Slo::new(&measured(Operation::Rsvp, calls(1, 60)));
        assert!(slo.met, "{slo:?}");
    }

    #[test]
    fn one_error_in_a_thousand_calls_is_tolerated_and_two_are_not() {
        let mut one = measured(Operation::Rsvp, calls(1, 1));
        let mut failing = |errors| {
            let calls = one.operations.get_mut(&Operation::Rsvp).unwrap();
            calls.errors.insert("unavailable".to_owned(), errors);
            Slo::new(&one).met
        };
        assert_eq!([failing(1), failing(2)], [true, false]);
    }

    #[test]
    fn stale_counts_misses_and_a_late_generator_miss_the_service_levels() {
        let good = measured(Operation::Rsvp, calls(1, 1));
        let bad = [
            Measured { max_count_staleness: Duration::from_millis(5_001), ..good.clone() },
            Measured { read_your_writes_misses: 1, ..good.clone() },
            Measured { saturated: true, ..good.clone() },
        ];
        assert!(Slo::new(&good).met);
        assert!(bad.iter().all(|measured| !Slo::new(measured).met));
    }
}
