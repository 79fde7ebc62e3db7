//! The tables of the report.

use std::fmt::Write;
use std::time::Duration;

use super::{Series, escaped};
use crate::Operation;
use crate::result::{Goal, OperationSummary, Summary};
use crate::text::{duration, thousands, three_digits};

/// The end of a table.
const TAIL: &str = "</tbody></table></div>\n</section>\n";
/// The service levels of more series than this have a row for each.
const COLUMNS: usize = 4;

// Writing to a string does not fail.

/// One sentence for each series.
pub(super) fn verdicts(series: &[Series<'_>]) -> String {
    let mut list = "<ul class=\"verdicts\">\n".to_owned();
    for Series { name, summary, .. } in series {
        let (class, verdict) = verdict(summary);
        let _ = writeln!(
            list,
            "<li class=\"{class}\"><b>{}</b><span>{verdict}</span><span>{} calls a second{}</span></li>",
            escaped(name),
            thousands(summary.calls_per_second),
            more(summary)
        );
    }
    list.push_str("</ul>\n");
    for Series { name, summary, .. } in series {
        // In an open loop both answer what they are given.
        let comparable = summary.rate.is_none() || summary.max_rate.is_some();
        if let Some(ratio) = summary.ratio.filter(|_| comparable) {
            let name = escaped(name);
            let ratio = three_digits(ratio);
            let _ = writeln!(
                list,
                "<p><b>{name}</b> answers <b>{ratio} times</b> as many calls a second as the way by hand.</p>"
            );
        }
    }
    list
}

fn verdict(summary: &Summary) -> (&'static str, &'static str) {
    match (summary.slo.met, summary.saturated) {
        (true, _) => ("met", "✓ service levels met"),
        (false, false) => ("missed", "✗ service levels not met"),
        (false, true) => ("missed", "✗ not met: calls began later than they were due"),
    }
}

/// The highest rate, and calls that were never made.
fn more(summary: &Summary) -> String {
    let mut more = String::new();
    if let Some(rate) = summary.max_rate {
        let _ = write!(more, ", the highest rate that meets them is {}", thousands(rate));
    }
    if summary.not_begun > 0 {
        let number = thousands(summary.not_begun as f64);
        let _ = write!(more, ", and {number} that were due never began");
    }
    more
}

/// Every target beside the measured values: a row for each target, or for each of many series.
pub(super) fn goals(series: &[Series<'_>]) -> String {
    let Some(first) = series.first() else { return String::new() };
    if series.len() > COLUMNS { goals_across(series) } else { goals_down(series, first.summary) }
}

fn goals_down(series: &[Series<'_>], first: &Summary) -> String {
    let names = series.iter().map(|series| series.name.as_str());
    let mut table = head("Service levels", ["", "target"].into_iter().chain(names));
    for (row, (name, unit, goal)) in first.slo.goals().iter().enumerate() {
        let target = target(name, unit, goal);
        let _ = write!(table, "<tr><th scope=\"row\">{name}</th><td>{}</td>", escaped(&target));
        for series in series {
            let goals = series.summary.slo.goals();
            table.extend(goals.get(row).map(|(_, unit, goal)| cell(goal, unit)));
        }
        table.push_str("</tr>\n");
    }
    table.push_str(TAIL);
    table
}

fn goals_across(series: &[Series<'_>]) -> String {
    let goals = series.first().map(|series| series.summary.slo.goals());
    let columns: Vec<String> = goals
        .iter()
        .flatten()
        .map(|(name, unit, goal)| format!("{name} {}", target(name, unit, goal)))
        .collect();
    let mut table =
        head("Service levels", [""].into_iter().chain(columns.iter().map(String::as_str)));
    for Series { name, summary, .. } in series {
        let _ = write!(table, "<tr><th scope=\"row\">{}</th>", escaped(name));
        table.extend(summary.slo.goals().iter().map(|(_, unit, goal)| cell(goal, unit)));
        table.push_str("</tr>\n");
    }
    table.push_str(TAIL);
    table
}

/// A target as text.
fn target(name: &str, unit: &str, goal: &Goal) -> String {
    if goal.target == 0.0 {
        return "none".to_owned();
    }
    let sign = if name.ends_with("p95") { '<' } else { '≤' };
    format!("{sign} {}", value(goal.target, unit))
}

fn cell(goal: &Goal, unit: &str) -> String {
    let Some(measured) = goal.measured else {
        return "<td class=\"none\">no calls</td>".to_owned();
    };
    let (class, mark) = if goal.met { ("met", "✓") } else { ("missed", "✗") };
    format!("<td class=\"{class}\">{mark} {}</td>", value(measured, unit))
}

/// A target or a measured value with its unit.
fn value(number: f64, unit: &str) -> String {
    match unit {
        "ms" => duration(Duration::from_secs_f64(number / 1e3)),
        "" => thousands(number),
        unit => format!("{} {unit}", thousands(number)),
    }
}

/// The figures of each kind of call.
pub(super) fn operations(series: &[Series<'_>]) -> String {
    let columns = ["", "", "calls", "a second", "errors", "p50", "p95", "p99", "p99.9", "max"];
    let mut table = head("Calls", columns.into_iter());
    let rows = Operation::ALL
        .iter()
        .flat_map(|operation| series.iter().map(move |series| (operation, series)));
    for (operation, Series { name, summary, .. }) in rows {
        let calls = summary.operations.get(operation.as_str());
        let some = |calls: &&OperationSummary| calls.completed > 0 || !calls.errors.is_empty();
        let Some(calls) = calls.filter(some) else { continue };
        let name = escaped(name);
        let _ =
            write!(table, "<tr><th scope=\"row\">{operation}</th><td class=\"name\">{name}</td>");
        row(&mut table, calls);
    }
    table.push_str(TAIL);
    table
}

fn row(table: &mut String, calls: &OperationSummary) {
    let errors = calls.errors.iter().map(|(kind, number)| format!("{number} {}", escaped(kind)));
    let errors = errors.collect::<Vec<_>>().join(", ");
    let errors = if errors.is_empty() { "0".to_owned() } else { errors };
    let numbers = [thousands(calls.completed as f64), thousands(calls.per_second), errors];
    let latencies = [calls.p50_us, calls.p95_us, calls.p99_us, calls.p999_us, calls.max_us];
    let latencies = latencies.map(|latency| {
        let latency =
            latency.map(|microseconds| duration(Duration::from_secs_f64(microseconds / 1e6)));
        latency.unwrap_or_else(|| "–".to_owned())
    });
    for text in numbers.iter().chain(&latencies) {
        let _ = write!(table, "<td>{text}</td>");
    }
    table.push_str("</tr>\n");
}

fn head<'a>(title: &str, columns: impl Iterator<Item = &'a str>) -> String {
    let mut head = format!("<section>\n<h2>{title}</h2>\n<div class=\"wide\"><table><thead><tr>");
    for column in columns {
        let _ = write!(head, "<th scope=\"col\">{}</th>", escaped(column));
    }
    head.push_str("</tr></thead><tbody>\n");
    head
}
