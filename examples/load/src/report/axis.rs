//! Axes: where a value lies, and the values that are marked.

use std::time::Duration;

use crate::text::{duration, thousands, three_digits};

/// An axis from 0 to 1.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    scale: Scale,
    from: f64,
    until: f64,
    /// The marked values and their texts.
    pub(super) marks: Vec<(f64, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scale {
    Linear,
    Logarithmic,
}

impl Axis {
    /// Latencies in seconds, by powers of ten around the values.
    pub(super) fn latency(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = bounds(values.filter(|value| *value > 0.0)).unwrap_or((1e-4, 1e-2));
        let from = low.log10().floor();
        let until = high.log10().ceil().max(from + 1.0);
        let powers = (from as i32..=until as i32).map(|power| 10_f64.powi(power));
        let marks = powers.map(|value| (value, duration(Duration::from_secs_f64(value))));
        let marks = marks.collect();
        Self { scale: Scale::Logarithmic, from, until, marks }
    }

    /// Numbers by powers of ten around the values.
    pub(super) fn powers(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = bounds(values.filter(|value| *value > 0.0)).unwrap_or((1.0, 10.0));
        let from = low.log10().floor();
        let until = high.log10().ceil().max(from + 1.0);
        let powers = (from as i32..=until as i32).map(|power| 10_f64.powi(power));
        let marks = powers.map(|value| (value, thousands(value))).collect();
        Self { scale: Scale::Logarithmic, from, until, marks }
    }

    /// Shares of calls: each nine takes the same room. `calls` is the number of calls.
    pub(super) fn percentiles(calls: u64) -> Self {
        let until = nines(1.0 - 1.0 / (calls.max(100) as f64));
        let marks = [50.0, 90.0, 99.0, 99.9, 99.99, 99.999, 99.9999].map(|percent: f64| {
            let text = if percent == 50.0 { "p50".to_owned() } else { format!("p{percent}") };
            (nines(percent / 100.0), text)
        });
        let marks = marks.into_iter().filter(|(at, _)| *at <= until + 1e-9).collect();
        Self { scale: Scale::Linear, from: 0.0, until, marks }
    }

    /// Values from zero on, with about five marks.
    pub(super) fn from_zero(values: impl Iterator<Item = f64>, unit: &str) -> Self {
        let high = bounds(values).map_or(1.0, |(_, high)| high).max(1e-3);
        let step = round_step(high / 4.0);
        let until = (high / step).ceil() * step;
        let count = (until / step).round() as u32;
        let marks = (0..=count).map(|n| {
            let value = f64::from(n) * step;
            let number = if value >= 100.0 { thousands(value) } else { three_digits(value) };
            (value, format!("{number}{unit}"))
        });
        let marks = marks.collect();
        Self { scale: Scale::Linear, from: 0.0, until, marks }
    }

    /// The time of a run in seconds.
    pub(super) fn time(until: f64) -> Self {
        let rounded = Self::from_zero([until].into_iter(), " s");
        let marks = rounded.marks.into_iter().filter(|(at, _)| *at <= until * 1.001).collect();
        Self { until: until.max(1e-3), marks, ..rounded }
    }

    /// Where a value lies, from 0 to 1.
    pub(super) fn place(&self, value: f64) -> f64 {
        let value = match self.scale {
            Scale::Linear => value,
            Scale::Logarithmic => value.max(f64::MIN_POSITIVE).log10(),
        };
        ((value - self.from) / (self.until - self.from)).clamp(0.0, 1.0)
    }

    pub(super) fn until(&self) -> f64 {
        self.until
    }
}

/// How many nines a share of calls has: 1 for 0.9, 2 for 0.99.
pub(super) fn nines(share: f64) -> f64 {
    -(1.0 - share).log10()
}

/// The share of calls with so many nines.
pub(super) fn share(nines: f64) -> f64 {
    1.0 - 10_f64.powf(-nines)
}

fn bounds(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |bounds, value| match bounds {
        None => Some((value, value)),
        Some((low, high)) => Some((value.min(low), value.max(high))),
    })
}

/// One, two or five, times a power of ten: the least that is no smaller.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let factors = [1.0, 2.0, 5.0, 10.0];
    let factor = factors.into_iter().find(|factor| factor * power >= step * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_lie_between_powers_of_ten() {
        let axis = Axis::latency([0.000_3, 0.04].into_iter());
        let marks: Vec<_> = axis.marks.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(marks, ["100 µs", "1 ms", "10 ms", "100 ms"]);
        assert!((axis.place(0.001) - 1.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn each_nine_takes_the_same_room() {
        let axis = Axis::percentiles(1_000_000);
        let [one, two, three] = [0.9, 0.99, 0.999].map(|share| axis.place(nines(share)));
        assert!((two - one - (three - two)).abs() < 1e-9);
        assert_eq!(axis.marks.last().unwrap().1, "p99.9999");
        assert!((share(nines(0.95)) - 0.95).abs() < 1e-9);
    }

    #[test]
    fn marks_from_zero_are_round() {
        let marks = |high| -> Vec<f64> {
            Axis::from_zero([high].into_iter(), "").marks.iter().map(|(at, _)| *at).collect()
        };
        assert_eq!(marks(9.0), [0.0, 5.0, 10.0]);
        assert_eq!(marks(730.0), [0.0, 200.0, 400.0, 600.0, 800.0]);
    }
}
