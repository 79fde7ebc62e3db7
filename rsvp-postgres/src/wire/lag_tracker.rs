//! How far servers have got in their log, and when the primary was where.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The token's position of a writer that has no replicas: it is not worth a round trip to it to
/// learn where its write is, so readers who have replicas must ask the primary.
pub(crate) const PRIMARY_ONLY: u64 = u64::MAX;

/// Marks are taken no further apart than a quarter of the bound that they are for, and within
/// these limits: enough of them for the default bound, and no storm of questions.
const SPACING: RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_millis(250);
const MARKS: usize = 128;

/// Where the primary was at some moments: a replica that has replayed a mark is at most as old
/// as the mark.
///
/// The moment is taken before the primary is asked, on this machine's clock alone.
#[derive(Debug, Default)]
pub(crate) struct Marks(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The log that the marks are positions in.
    origin: u64,
    marks: VecDeque<(Instant, u64)>,
    last_asked: Option<Instant>,
}

impl Marks {
    /// If it is time for another mark, so that reads within `bound` can soon be served: the
    /// moment, from which on this caller, and no other, is to ask the primary.
    pub(crate) fn claim(&self, bound: Duration) -> Option<Instant> {
        let spacing = (bound / 4).clamp(*SPACING.start(), *SPACING.end());
        let mut state = self.locked();
        if state.last_asked.is_some_and(|asked| asked.elapsed() < spacing) {
            return None;
        }
        let now = Instant::now();
        state.last_asked = Some(now);
        Some(now)
    }

    pub(crate) fn add(&self, at: Instant, origin: u64, position: u64) {
        let mut state = self.locked();
        if state.origin != origin {
            state.origin = origin;
            state.marks.clear();
        }
        let marks = &mut state.marks;
        if marks.back().is_none_or(|(newest, _)| *newest < at) {
            if marks.len() == MARKS {
                marks.pop_front();
            }
            marks.push_back((at, position));
        }
    }

    /// The position of `origin` that a replica must have replayed to be within `bound`.
    pub(crate) fn needed(&self, origin: u64, bound: Duration) -> Option<u64> {
        let state = self.of(origin)?;
        state.marks.iter().find(|(at, _)| at.elapsed() <= bound).map(|(_, position)| *position)
    }

    /// How old, at most, a replica is that has replayed `origin` up to `position`.
    pub(crate) fn age(&self, origin: u64, position: u64) -> Option<Duration> {
        let state = self.of(origin)?;
        state.marks.iter().rev().find(|(_, mark)| *mark <= position).map(|(at, _)| at.elapsed())
    }

    fn of(&self, origin: u64) -> Option<MutexGuard<'_, State>> {
        Some(self.locked()).filter(|state| state.origin == origin)
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const LOG: u64 = 7;

    #[tokio::test(start_paused = true)]
    async fn the_oldest_mark_within_the_bound_is_enough() {
        let marks = Marks::default();
        assert_eq!(marks.needed(LOG, SECOND), None);
        marks.add(Instant::now(), LOG, 100);
        tokio::time::advance(3 * SECOND).await;
        marks.add(Instant::now(), LOG, 200);
        tokio::time::advance(SECOND / 2).await;
        assert_eq!(marks.needed(LOG, 5 * SECOND), Some(100));
        assert_eq!(marks.needed(LOG, SECOND), Some(200));
        assert_eq!(marks.needed(LOG, Duration::ZERO), None);
        tokio::time::advance(2 * SECOND).await;
        assert_eq!(marks.needed(LOG, SECOND), None);
    }

    #[tokio::test(start_paused = true)]
    async fn marks_of_another_log_say_nothing() {
        let marks = Marks::default();
        marks.add(Instant::now(), LOG, 100);
        assert_eq!(marks.needed(LOG + 1, SECOND), None);
        assert_eq!(marks.age(LOG + 1, 100), None);
        marks.add(Instant::now() + SECOND, LOG + 1, 50);
        assert_eq!(marks.needed(LOG, SECOND), None);
        assert_eq!(marks.needed(LOG + 1, SECOND), Some(50));
    }

    #[tokio::test(start_paused = true)]
    async fn one_caller_at_a_time_asks_the_primary() {
        let marks = Marks::default();
        assert_eq!(marks.claim(5 * SECOND), Some(Instant::now()));
        assert_eq!(marks.claim(5 * SECOND), None);
        tokio::time::advance(SECOND / 10).await;
        assert_eq!(marks.claim(5 * SECOND), None);
        assert_eq!(marks.claim(SECOND / 10), Some(Instant::now()));
        tokio::time::advance(SECOND / 4).await;
        assert_eq!(marks.claim(5 * SECOND), Some(Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_age_is_that_of_the_newest_mark_replayed() {
        let marks = Marks::default();
        marks.add(Instant::now(), LOG, 100);
        tokio::time::advance(SECOND).await;
        marks.add(Instant::now(), LOG, 200);
        assert_eq!(marks.age(LOG, 99), None);
        assert_eq!(marks.age(LOG, 199), Some(SECOND));
        assert_eq!(marks.age(LOG, 200), Some(Duration::ZERO));
    }
}
