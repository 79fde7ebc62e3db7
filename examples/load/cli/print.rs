//! The summary on the terminal.

use std::time::Duration;

use rsvp_load::{Summary, text};

/// Prints the figures of a run, its verdict, and the same by hand.
pub(crate) fn summary(summary: &Summary) {
    println!();
    println!("{} of {}: {}", summary.scenario, summary.store, verdict(summary));
    if let Some(rate) = summary.max_rate {
        println!("highest rate that meets the service levels: {} a second", text::thousands(rate));
    }
    figures(summary);
    for (name, unit, goal) in summary.slo.goals().iter().filter(|(_, _, goal)| !goal.met) {
        let measured = text::three_digits(goal.measured.unwrap_or_default());
        println!("missed: {name} {measured} {unit} (target {} {unit})", goal.target);
    }
    if let Some(by_hand) = &summary.by_hand {
        println!("by hand: {}", verdict(by_hand));
        if let Some(rate) = by_hand.max_rate {
            println!("highest rate by hand: {} a second", text::thousands(rate));
        }
        figures(by_hand);
        println!(
            "ratio of calls a second: {}",
            summary.ratio.map(text::three_digits).unwrap_or_default()
        );
    }
}

fn verdict(summary: &Summary) -> String {
    let met = if summary.slo.met { "service levels met" } else { "service levels not met" };
    let saturated = if summary.saturated { ", calls began later than they were due" } else { "" };
    let rate = summary.rate.map(|rate| format!(" at {} a second", text::thousands(rate)));
    let calls = text::thousands(summary.calls_per_second);
    format!("{met}{}{saturated}; {calls} calls a second", rate.unwrap_or_default())
}

fn figures(summary: &Summary) {
    println!(
        "  {:<12}{:>12}{:>12}{:>8}{:>10}{:>10}{:>10}{:>10}{:>10}",
        "", "calls", "a second", "errors", "p50", "p95", "p99", "p99.9", "max"
    );
    for (name, calls) in summary.operations.iter().filter(|(_, calls)| calls.p50_us.is_some()) {
        let latencies = [calls.p50_us, calls.p95_us, calls.p99_us, calls.p999_us, calls.max_us];
        let shown = latencies.map(|latency| {
            let latency = Duration::from_secs_f64(latency.unwrap_or_default() / 1e6);
            format!("{:>10}", text::duration(latency))
        });
        println!(
            "  {name:<12}{:>12}{:>12}{:>8}{}",
            text::thousands(calls.completed as f64),
            text::thousands(calls.per_second),
            calls.errors.values().sum::<u64>(),
            shown.concat()
        );
    }
    if summary.not_begun > 0 {
        println!("  {} calls that were due never began", text::thousands(summary.not_begun as f64));
    }
    println!(
        "  count staleness {}, read-your-writes misses {}",
        text::duration(Duration::from_secs_f64(summary.max_count_staleness_ms / 1e3)),
        summary.read_your_writes_misses
    );
}
