//! Latencies with three significant digits.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest latency that is told apart from longer ones.
const LONGEST: Duration = Duration::from_secs(300);

/// Latencies with three significant digits, from a nanosecond to five minutes.
#[derive(Clone, Default)]
pub struct Latencies(Option<Histogram<u64>>);

impl Latencies {
    /// Records a latency.
    pub fn record(&mut self, latency: Duration) {
        if self.0.is_none() {
            self.0 = Histogram::new_with_bounds(1, nanoseconds(LONGEST), 3).ok();
        }
        if let Some(histogram) = &mut self.0 {
            histogram.saturating_record(nanoseconds(latency).max(1));
        }
    }

    /// The number of latencies.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.as_ref().map_or(0, Histogram::len)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The latency that this share (0 to 1) of the calls did not exceed, if there was any call.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let histogram = self.0.as_ref().filter(|histogram| !histogram.is_empty())?;
        Some(Duration::from_nanos(histogram.value_at_quantile(share)))
    }

    /// The longest latency.
    #[must_use]
    pub fn max(&self) -> Option<Duration> {
        self.0.as_ref().filter(|histogram| !histogram.is_empty())?;
        self.quantile(1.0)
    }

    /// Adds the latencies of another one.
    pub fn add(&mut self, other: &Self) {
        match (&mut self.0, &other.0) {
            // The bounds are the same, so that every value has a place.
            (Some(own), Some(other)) => own.add(other).unwrap_or_default(),
            (None, Some(_)) => self.0.clone_from(&other.0),
            (_, None) => {}
        }
    }

    /// Removes all latencies and keeps the memory.
    pub(super) fn reset(&mut self) {
        if let Some(histogram) = &mut self.0 {
            histogram.reset();
        }
    }
}

impl fmt::Debug for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (p50, max) = (self.quantile(0.5), self.max());
        f.debug_struct("Latencies")
            .field("len", &self.len())
            .field("p50", &p50)
            .field("max", &max)
            .finish()
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_have_three_digits_and_nothing_has_none() {
        let mut latencies = Latencies::default();
        assert_eq!((latencies.quantile(0.5), latencies.max()), (None, None));
        for millisecond in 1..=1000 {
            latencies.record(Duration::from_millis(millisecond));
        }
        let p99 = latencies.quantile(0.99).unwrap().as_secs_f64();
        assert!((0.989..0.992).contains(&p99), "{p99}");
        let mut sum = Latencies::default();
        sum.add(&latencies);
        sum.add(&latencies);
        assert_eq!(sum.len(), 2000);
    }
}
