//! The rates of a store that grows.

use super::STYLE;
use super::axis::Axis;
use super::chart::{Chart, Line};
use crate::scale::Step;

/// The rates at each size as an SVG file, both axes logarithmic.
#[must_use]
pub fn growth(store: &str, steps: &[Step]) -> String {
    let line = |place: usize, name: &str, rate: fn(&Step) -> f64| Line {
        name: name.to_owned(),
        class: format!("s{place}"),
        points: steps.iter().map(|step| (step.rsvps as f64, rate(step))).collect(),
    };
    let lines = vec![
        line(0, "has_rsvped", |step| step.has_rsvped.per_second),
        line(1, "rsvp", |step| step.rsvp.per_second),
        line(2, "batches", |step| step.filled_per_second),
    ];
    let points = || lines.iter().flat_map(|line| &line.points);
    Chart {
        title: format!("{store}: calls a second by number of RSVPs"),
        x: Axis::powers(points().map(|(x, _)| *x)),
        y: Axis::powers(points().map(|(_, y)| *y)),
        lines,
        bands: Vec::new(),
        target: None,
    }
    .document(STYLE)
}
