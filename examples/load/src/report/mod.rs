//! The measurements as an HTML file that needs no other one: figures are inline SVG, and there is no
//! script.

mod axis;
mod chart;
mod figures;
mod growth;
mod tables;

use std::fmt::Write;

use crate::measure::Measured;
use crate::result::Summary;
use crate::text::{duration, thousands};
use crate::{Environment, Plan};

pub use self::growth::growth;

const STYLE: &str = include_str!("style.css");

/// A run to report.
#[derive(Clone, Debug)]
pub struct Run {
    /// The figures, with those of the way by hand.
    pub summary: Summary,
    /// The measurements of the store.
    pub measured: Measured,
    /// The measurements of the way by hand.
    pub by_hand: Option<Measured>,
}

/// One line in every figure, and one column in every table.
struct Series<'a> {
    name: String,
    summary: &'a Summary,
    measured: &'a Measured,
    /// The colour, which the way by hand has too, dashed.
    class: String,
}

/// The series of all runs, each way by hand after its store.
fn series(runs: &[Run]) -> Vec<Series<'_>> {
    let mut all = Vec::new();
    for (place, run) in runs.iter().enumerate() {
        let Run { summary, measured, .. } = run;
        let class = format!("s{}", place % 6);
        all.push(Series { name: summary.store.clone(), summary, measured, class: class.clone() });
        if let (Some(summary), Some(measured)) = (&summary.by_hand, &run.by_hand) {
            let name = format!("{}, by hand", run.summary.store);
            all.push(Series { name, summary, measured, class: format!("{class} by-hand") });
        }
    }
    all
}

/// The report of all runs of a plan.
#[must_use]
pub fn html(runs: &[Run], plan: &Plan, environment: &Environment) -> String {
    let series = series(runs);
    let title = format!("Load: {}", plan.scenario);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
    );
    let sections = [
        lead(plan, &series),
        tables::verdicts(&series),
        tables::goals(&series),
        tables::operations(&series),
        figures::by_percentile(&series),
        figures::over_time(&series),
        figures::staleness(&series),
        foot(plan, environment),
    ];
    page.extend(sections);
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

/// A sentence on the load.
fn lead(plan: &Plan, series: &[Series<'_>]) -> String {
    let load = match plan.rate {
        Some(_) if series.iter().any(|series| series.summary.max_rate.is_some()) => {
            "an open loop at the highest rate at which each way meets the service levels".to_owned()
        }
        Some(rate) => {
            let burst = plan.phases().iter().filter_map(|phase| phase.rate).fold(0.0, f64::max);
            let burst = if burst > rate {
                format!(" and {} in its burst", thousands(burst))
            } else {
                String::new()
            };
            format!("an open loop at {} calls a second{burst}", thousands(rate))
        }
        None => format!("a closed loop of {} callers", thousands(plan.callers as f64)),
    };
    let from_due = match plan.rate {
        Some(_) => " Each latency counts from the moment at which its call was due.",
        None => "",
    };
    let (time, scenario) = (duration(plan.time), plan.scenario);
    format!("<p class=\"lead\">{time} of the scenario <b>{scenario}</b> in {load}.{from_due}</p>\n")
}

/// The machine, the versions, the command and the seed.
fn foot(plan: &Plan, environment: &Environment) -> String {
    let mut foot = "<footer>\n<h2>How this was measured</h2>\n<dl>\n".to_owned();
    let seed = ("seed", plan.seed.to_string());
    for (name, value) in environment.lines().into_iter().chain([seed]) {
        let value = escaped(&value);
        let value = if name == "command" { format!("<code>{value}</code>") } else { value };
        // Writing to a string does not fail.
        let _ = writeln!(foot, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    }
    foot.push_str("</dl>\n</footer>\n");
    foot
}

/// Text as HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The names of the series and their colours.
fn legend(series: &[Series<'_>]) -> String {
    if series.len() < 2 {
        return String::new();
    }
    let mut legend = "<p class=\"legend\">".to_owned();
    for Series { name, class, .. } in series {
        let swatch = "<svg viewBox=\"0 0 28 8\" aria-hidden=\"true\"><path d=\"M0 4H28\"/></svg>";
        let _ = write!(legend, "<span class=\"{class}\">{swatch}{}</span>", escaped(name));
    }
    legend.push_str("</p>\n");
    legend
}
