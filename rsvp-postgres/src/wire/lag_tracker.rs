//! The lag of replicas behind the primary, in time.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::lsn::{Position, Timeline, Watermark};

/// The time between samples is a quarter of the bound of the read, and within these limits.
/// They give the default bound enough samples, and spare the primary a storm of requests.
const SPACING: RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_millis(250);
const SAMPLES: usize = 128;

/// Turns positions in the log into ages.
///
/// Now and then the store asks the primary for its LSN.
/// The moment of the request and the LSN in the answer are a sample.
/// A replica past the LSN has every write before the moment, so it is at most as old as the sample.
///
/// The moment is from this machine's clock, before the request.
/// Clocks of different machines are never compared.
#[derive(Debug, Default)]
pub(crate) struct LagTracker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The timeline of the samples. After a failover, samples of the old primary say nothing.
    timeline: Timeline,
    /// The oldest first.
    samples: VecDeque<(Instant, Position)>,
    last_claimed: Option<Instant>,
}

impl LagTracker {
    /// Returns the moment of the next sample, if reads within `bound` need one now.
    /// Only the caller with the moment asks the primary.
    pub(crate) fn claim_sample(&self, bound: Duration) -> Option<Instant> {
        let spacing = (bound / 4).clamp(*SPACING.start(), *SPACING.end());
        let mut state = self.locked();
        if state.last_claimed.is_some_and(|claimed| claimed.elapsed() < spacing) {
            return None;
        }
        let now = Instant::now();
        state.last_claimed = Some(now);
        Some(now)
    }

    /// Adds a sample. The primary of a timeline was at `position` at the moment `at`, or later.
    pub(crate) fn record(&self, at: Instant, timeline: Timeline, position: Position) {
        let mut state = self.locked();
        if state.timeline != timeline {
            state.timeline = timeline;
            state.samples.clear();
        }
        let samples = &mut state.samples;
        // Answers of the primary may overtake each other. An older one is of no use.
        if samples.back().is_none_or(|(newest, _)| *newest < at) {
            if samples.len() == SAMPLES {
                samples.pop_front();
            }
            samples.push_back((at, position));
        }
    }

    /// Returns the watermark that makes a replica of a primary on `timeline` at most `bound` old.
    /// It is from the oldest sample within the bound, which is the easiest to reach.
    /// `None` if there is no such sample.
    pub(crate) fn watermark(&self, timeline: Timeline, bound: Duration) -> Option<Watermark> {
        let state = Some(self.locked()).filter(|state| state.timeline == timeline)?;
        let within = state.samples.iter().find(|(at, _)| at.elapsed() <= bound);
        within.map(|(_, position)| Watermark { log: timeline.log(), position: *position })
    }

    /// Returns the greatest possible age of a replica that has replayed `watermark`.
    pub(crate) fn age(&self, watermark: Watermark) -> Option<Duration> {
        let state = self.locked();
        if state.timeline.log() != watermark.log {
            return None;
        }
        let newest = state.samples.iter().rev().find(|(_, at)| *at <= watermark.position);
        newest.map(|(at, _)| at.elapsed())
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    const HERE: Timeline = Timeline { system: 7, number: 1 };

    fn at(position: u64) -> Watermark {
        Watermark { log: HERE.log(), position: Position(position) }
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_sample_within_the_bound_is_enough() {
        let lag = LagTracker::default();
        assert_eq!(lag.watermark(HERE, SECOND), None);
        lag.record(Instant::now(), HERE, Position(100));
        tokio::time::advance(3 * SECOND).await;
        lag.record(Instant::now(), HERE, Position(200));
        tokio::time::advance(SECOND / 2).await;
        assert_eq!(lag.watermark(HERE, 5 * SECOND), Some(at(100)));
        assert_eq!(lag.watermark(HERE, SECOND), Some(at(200)));
        assert_eq!(lag.watermark(HERE, Duration::ZERO), None);
        tokio::time::advance(2 * SECOND).await;
        assert_eq!(lag.watermark(HERE, SECOND), None);
    }

    #[tokio::test(start_paused = true)]
    async fn samples_of_another_timeline_say_nothing() {
        let lag = LagTracker::default();
        let later = Timeline { number: 2, ..HERE };
        lag.record(Instant::now(), HERE, Position(100));
        assert_eq!(lag.watermark(later, SECOND), None);
        lag.record(Instant::now() + SECOND, later, Position(150));
        assert_eq!(lag.watermark(HERE, SECOND), None);
        assert_eq!(lag.watermark(later, SECOND), Some(at(150)));
        let elsewhere = Timeline { system: 8, ..HERE };
        assert_eq!(lag.age(Watermark { log: elsewhere.log(), ..at(200) }), None);
    }

    #[tokio::test(start_paused = true)]
    async fn one_caller_at_a_time_asks_the_primary() {
        let lag = LagTracker::default();
        assert_eq!(lag.claim_sample(5 * SECOND), Some(Instant::now()));
        assert_eq!(lag.claim_sample(5 * SECOND), None);
        tokio::time::advance(SECOND / 10).await;
        assert_eq!(lag.claim_sample(5 * SECOND), None);
        assert_eq!(lag.claim_sample(SECOND / 10), Some(Instant::now()));
        tokio::time::advance(SECOND / 4).await;
        assert_eq!(lag.claim_sample(5 * SECOND), Some(Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_age_is_that_of_the_newest_sample_replayed() {
        let lag = LagTracker::default();
        lag.record(Instant::now(), HERE, Position(100));
        tokio::time::advance(SECOND).await;
        lag.record(Instant::now(), HERE, Position(200));
        assert_eq!(lag.age(at(99)), None);
        assert_eq!(lag.age(at(199)), Some(SECOND));
        assert_eq!(lag.age(at(200)), Some(Duration::ZERO));
    }
}
