//! How far servers have got in their log, and when the primary was where.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The token's position of a writer that has no replicas: it is not worth a round trip to it to
/// learn where its write is, so readers who have replicas must ask the primary.
pub(crate) const PRIMARY_ONLY: u64 = u64::MAX;

/// Marks are kept this long at most apart, so that bounds of a few seconds can be met.
const SPACING: Duration = Duration::from_millis(250);
const MARKS: usize = 64;

/// Where the primary was at some moments: a replica that has replayed a mark is at most as old
/// as the mark.
///
/// The moment is taken before the primary is asked, on this machine's clock alone.
#[derive(Debug, Default)]
pub(crate) struct Marks(Mutex<VecDeque<(Instant, u64)>>);

impl Marks {
    /// Whether the newest mark is too old for a read bounded by `bound` soon to be served.
    pub(crate) fn wants_another(&self, bound: Duration) -> bool {
        let spacing = SPACING.min(bound / 4);
        self.locked().back().is_none_or(|(at, _)| at.elapsed() >= spacing)
    }

    pub(crate) fn add(&self, at: Instant, position: u64) {
        let mut marks = self.locked();
        if marks.back().is_none_or(|(newest, _)| *newest < at) {
            if marks.len() == MARKS {
                marks.pop_front();
            }
            marks.push_back((at, position));
        }
    }

    /// The position that a replica must have replayed to be within `bound`.
    pub(crate) fn needed(&self, bound: Duration) -> Option<u64> {
        let marks = self.locked();
        marks.iter().find(|(at, _)| at.elapsed() <= bound).map(|(_, position)| *position)
    }

    /// How old, at most, a replica is that has replayed up to `position`.
    pub(crate) fn age(&self, position: u64) -> Option<Duration> {
        let marks = self.locked();
        marks.iter().rev().find(|(_, mark)| *mark <= position).map(|(at, _)| at.elapsed())
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, VecDeque<(Instant, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn the_oldest_mark_within_the_bound_is_enough() {
        let marks = Marks::default();
        assert!(marks.wants_another(SECOND) && marks.needed(SECOND).is_none());
        marks.add(Instant::now(), 100);
        tokio::time::advance(3 * SECOND).await;
        assert!(marks.wants_another(SECOND));
        marks.add(Instant::now(), 200);
        tokio::time::advance(SECOND / 2).await;
        assert_eq!(marks.needed(5 * SECOND), Some(100));
        assert_eq!(marks.needed(SECOND), Some(200));
        assert_eq!(marks.needed(Duration::ZERO), None);
        tokio::time::advance(2 * SECOND).await;
        assert_eq!(marks.needed(SECOND), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_age_is_that_of_the_newest_mark_replayed() {
        let marks = Marks::default();
        marks.add(Instant::now(), 100);
        tokio::time::advance(SECOND).await;
        marks.add(Instant::now(), 200);
        assert_eq!(marks.age(99), None);
        assert_eq!(marks.age(199), Some(SECOND));
        assert_eq!(marks.age(200), Some(Duration::ZERO));
    }
}
