//! A run compared with an earlier one.

use super::Summary;

/// Fewer calls than this say nothing about a 99th percentile.
const ENOUGH: u64 = 1_000;

/// What became worse by more than `tolerance` (0.2 is a fifth), one line for each. Runs belong together
/// by store and scenario. A rate below the earlier one counts in a closed loop and with a highest rate,
/// and a 99th percentile in an open loop, since the latency of a closed loop follows from its rate.
#[must_use]
pub fn regressions(before: &[Summary], now: &[Summary], tolerance: f64) -> Vec<String> {
    now.iter().flat_map(|now| regressions_of(before, now, tolerance)).collect()
}

fn regressions_of(before: &[Summary], now: &Summary, tolerance: f64) -> Vec<String> {
    let title = format!("{} of {}", now.scenario, now.store);
    let same = |before: &&Summary| before.scenario == now.scenario && before.store == now.store;
    let Some(before) = before.iter().find(same) else {
        return vec![format!("{title}: the baseline has no such run")];
    };
    if before.rate.is_some() != now.rate.is_some() {
        return vec![format!("{title}: the baseline was not the same kind of loop")];
    }
    let mut worse = Vec::new();
    let mut rate = |name: &str, before: f64, now: f64| {
        if now < before * (1.0 - tolerance) {
            worse.push(format!("{title}: {name} {now:.0} instead of {before:.0} a second"));
        }
    };
    if let (Some(before), Some(now)) = (before.max_rate, now.max_rate) {
        rate("highest rate", before, now);
    } else {
        rate("calls", before.calls_per_second, now.calls_per_second);
    }
    for (name, now) in now.operations.iter().filter(|_| now.rate.is_some()) {
        let Some(before) = before.operations.get(name) else { continue };
        let enough = before.completed.min(now.completed) >= ENOUGH;
        if let (Some(before), Some(now), true) = (before.p99_us, now.p99_us, enough)
            && now > before * (1.0 + tolerance)
        {
            let line = format!("{title}: {name} p99 {now:.0} instead of {before:.0} microseconds");
            worse.push(line);
        }
    }
    if before.slo.met && !now.slo.met {
        worse.push(format!("{title}: the service levels were met and are not"));
    }
    worse
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::measure::{Calls, Measured};
    use crate::{Operation, Plan, Scenario};

    fn summary(rate: Option<f64>, calls: u64, latency: u64) -> Summary {
        let mut reads = Calls::default();
        for _ in 0..calls {
            reads.latencies.record(Duration::from_millis(latency));
        }
        let operations = [(Operation::HasRsvped, reads)].into();
        let measured =
            Measured { operations, elapsed: Duration::from_secs(1), ..Measured::default() };
        let plan = Plan::new(Scenario::Reads, Duration::from_secs(1)).with_rate(rate);
        Summary::new("memory", &plan, &measured)
    }

    fn number(before: &Summary, now: &Summary) -> usize {
        let (before, now) = (std::slice::from_ref(before), std::slice::from_ref(now));
        regressions(before, now, 0.2).len()
    }

    #[test]
    fn a_loss_of_more_than_the_tolerance_is_a_regression() {
        let before = summary(None, 2_000, 1);
        assert_eq!(number(&before, &summary(None, 1_700, 1)), 0);
        assert_eq!(number(&before, &summary(None, 1_500, 1)), 1);
        assert_eq!(
            number(&before, &summary(None, 9_000, 9)),
            0,
            "its latency follows from its rate"
        );
    }

    #[test]
    fn an_open_loop_regresses_by_its_latency_too() {
        let before = summary(Some(2_000.0), 2_000, 10);
        assert_eq!(number(&before, &summary(Some(2_000.0), 2_000, 11)), 0);
        assert_eq!(number(&before, &summary(Some(2_000.0), 2_000, 13)), 1);
        let few = summary(Some(100.0), 100, 10);
        assert_eq!(number(&few, &summary(Some(100.0), 100, 30)), 0, "too few to tell");
    }

    #[test]
    fn a_baseline_that_is_another_run_is_a_regression() {
        let now = summary(None, 2_000, 1);
        let other = Summary { store: "redis".to_owned(), ..now.clone() };
        assert_eq!(number(&other, &now), 1);
        assert_eq!(number(&summary(Some(1.0), 2_000, 1), &now), 1);
    }
}
