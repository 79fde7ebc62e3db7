//! The figures of the report. Colours tell the stores apart, and each figure has one quantity.

use std::time::Duration;

use super::axis::{Axis, nines, share};
use super::chart::{Chart, Line};
use super::{Series, legend};
use crate::Operation;
use crate::measure::Tick;

/// Points of a line by percentile.
const POINTS: u32 = 120;

/// Latency by percentile, with both axes logarithmic: a figure for each kind of call.
pub(super) fn by_percentile(series: &[Series<'_>]) -> String {
    let charts = Operation::ALL.into_iter().filter_map(|operation| of_operation(series, operation));
    section("Latency by percentile", series, charts.collect())
}

fn of_operation(series: &[Series<'_>], operation: Operation) -> Option<Chart> {
    let calls = |series: &Series<'_>| {
        let calls = series.measured.operations.get(&operation);
        calls.map_or(0, |calls| calls.completed())
    };
    let most = series.iter().map(calls).max().filter(|&most| most > 0)?;
    let x = Axis::percentiles(most);
    let lines: Vec<Line> = series
        .iter()
        .filter_map(|series| {
            let latencies = &series.measured.operations.get(&operation)?.latencies;
            // No point beyond the slowest call, which would only repeat it.
            let last = nines(1.0 - 1.0 / latencies.len().max(2) as f64).min(x.until());
            let points = (0..=POINTS).filter_map(|n| {
                let at = last * f64::from(n) / f64::from(POINTS);
                Some((at, latencies.quantile(share(at))?.as_secs_f64()))
            });
            let (name, class) = (series.name.clone(), series.class.clone());
            Some(Line { name, class, points: points.collect() })
        })
        .collect();
    let y = Axis::latency(
        lines.iter().flat_map(|line| &line.points).map(|(_, y)| *y).chain(goal(operation)),
    );
    let target = goal(operation)
        .map(|goal| (nines(0.95), goal, format!("target {} ms", (goal * 1e3).round())));
    let title = format!("{operation}: latency by percentile");
    Some(Chart { title, x, y, lines, bands: Vec::new(), target })
}

/// The target of the 95th percentile, in seconds.
fn goal(operation: Operation) -> Option<f64> {
    match operation {
        Operation::HasRsvped => Some(0.05),
        Operation::Rsvp | Operation::Cancel => Some(0.15),
        Operation::RsvpCount => Some(0.1),
        Operation::Attendees | Operation::EventsOf => None,
    }
}

/// Throughput and percentiles over time, with the bursts marked.
pub(super) fn over_time(series: &[Series<'_>]) -> String {
    let charts = vec![
        throughput(series),
        latency(series, "p50", |tick| tick.p50),
        latency(series, "p99", |tick| tick.p99),
        latency(series, "p99.9", |tick| tick.p999),
    ];
    section("Over time", series, charts)
}

fn latency(series: &[Series<'_>], name: &str, value: impl Fn(&Tick) -> Duration) -> Chart {
    let lines = lines(series, |tick| value(tick).as_secs_f64());
    let y = Axis::latency(lines.iter().flat_map(|line| &line.points).map(|(_, y)| *y));
    timeline(series, &format!("{name} of all calls over time"), y, lines)
}

fn throughput(series: &[Series<'_>]) -> Chart {
    let mut all = offered(series);
    let title = match all.is_empty() {
        true => "Calls a second over time",
        false => "Calls a second over time, and offered ones (broad)",
    };
    all.extend(lines(series, Tick::per_second));
    let y = Axis::from_zero(all.iter().flat_map(|line| &line.points).map(|(_, y)| *y), "");
    timeline(series, title, y, all)
}

/// The offered load of an open loop: one line, or one for each series if their rates differ.
fn offered(series: &[Series<'_>]) -> Vec<Line> {
    let first = series.first().and_then(|series| series.summary.rate);
    let same = series.iter().all(|series| series.summary.rate == first);
    let longest = series.iter().max_by_key(|series| series.measured.ticks.len());
    let shown: Vec<&Series<'_>> =
        if same { longest.into_iter().collect() } else { series.iter().collect() };
    let lines = shown.into_iter().map(|series| {
        let points = series.measured.ticks.iter();
        let points: Vec<_> =
            points.filter_map(|tick| Some((middle(tick), tick.offered?))).collect();
        let class = if same { String::new() } else { format!(" {}", series.class) };
        let (name, class) = (format!("{}, offered", series.name), format!("offered{class}"));
        Line { name, class, points }
    });
    lines.filter(|line| !line.points.is_empty()).collect()
}

/// The staleness of counts over time.
pub(super) fn staleness(series: &[Series<'_>]) -> String {
    if series.iter().all(|series| series.measured.max_count_staleness.is_zero()) {
        let text = "<p>No count was older than the moment at which its read began.</p>\n";
        return format!("<section>\n<h2>Staleness of counts</h2>\n{text}</section>\n");
    }
    let lines = lines(series, |tick| tick.staleness.as_secs_f64());
    let values = lines.iter().flat_map(|line| &line.points).map(|(_, y)| *y);
    let y = Axis::from_zero(values, " s");
    let title = "The stalest count over time (target 5 s)";
    section("Staleness of counts", series, vec![timeline(series, title, y, lines)])
}

/// A line for each series, with a point in the middle of each tick.
fn lines(series: &[Series<'_>], value: impl Fn(&Tick) -> f64) -> Vec<Line> {
    let line = |series: &Series<'_>| {
        let points = series.measured.ticks.iter().map(|tick| (middle(tick), value(tick)));
        let (name, class) = (series.name.clone(), series.class.clone());
        Line { name, class, points: points.collect() }
    };
    series.iter().map(line).collect()
}

fn middle(tick: &Tick) -> f64 {
    (tick.at.saturating_sub(tick.length / 2)).as_secs_f64()
}

fn timeline(series: &[Series<'_>], title: &str, y: Axis, lines: Vec<Line>) -> Chart {
    let last = |series: &Series<'_>| series.measured.ticks.last().map(|tick| tick.at.as_secs_f64());
    let until = series.iter().filter_map(last).fold(0.0, f64::max);
    let bursts = series.first().map(|series| series.measured.bursts.as_slice()).unwrap_or_default();
    let bands = bursts.iter().map(|(from, until)| (from.as_secs_f64(), until.as_secs_f64()));
    let (title, x, bands) = (title.to_owned(), Axis::time(until), bands.collect());
    Chart { title, x, y, lines, bands, target: None }
}

fn section(title: &str, series: &[Series<'_>], charts: Vec<Chart>) -> String {
    let charts: String = charts.iter().map(Chart::svg).collect();
    let legend = legend(series);
    format!(
        "<section>\n<h2>{title}</h2>\n{legend}<div class=\"charts\">\n{charts}</div>\n</section>\n"
    )
}
