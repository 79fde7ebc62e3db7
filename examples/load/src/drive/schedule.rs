//! When the calls of an open loop are due.

use std::time::Duration;

use crate::Phase;

/// Calls that fall into one of these are due together, at its end.
pub(super) const TICK: Duration = Duration::from_micros(500);

/// The calls of an open loop, at a constant rate in each phase.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    phases: Vec<Phase>,
}

impl Schedule {
    pub(super) fn new(phases: &[Phase]) -> Self {
        Self { phases: phases.to_vec() }
    }

    /// The number of calls that are due by `time`.
    pub(super) fn due_by(&self, time: Duration) -> u64 {
        // A rounding error must not put a call off to the next tick.
        (self.between(Duration::ZERO, time) + 1e-6) as u64
    }

    /// The calls that are due between two moments, with fractions.
    pub(super) fn between(&self, from: Duration, until: Duration) -> f64 {
        let due = self.phases.iter().map(|phase| {
            let (begin, end) = (phase.from.max(from), phase.until.min(until));
            end.saturating_sub(begin).as_secs_f64() * phase.rate.unwrap_or_default()
        });
        due.sum()
    }

    /// The end of the first phase that ends after `time`, and the calls that are due in it.
    pub(super) fn phase_end(&self, time: Duration) -> Option<(Duration, f64)> {
        let phase = self.phases.iter().find(|phase| phase.until > time)?;
        Some((phase.until, self.between(phase.from, phase.until)))
    }

    pub(super) fn end(&self) -> Duration {
        self.phases.last().map_or(Duration::ZERO, |phase| phase.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scenario;

    #[test]
    fn every_call_of_every_phase_is_due_once() {
        let phases = Scenario::TicketDrop.phases(Duration::from_secs(3), Some(1_000.0));
        let schedule = Schedule::new(&phases);
        assert_eq!(schedule.due_by(Duration::from_secs(1)), 1_000);
        assert_eq!(schedule.due_by(Duration::from_millis(1_500)), 6_000);
        assert_eq!(schedule.due_by(Duration::from_secs(9)), 12_000);
        assert_eq!(schedule.end(), Duration::from_secs(3));
        let (end, due) = schedule.phase_end(Duration::from_millis(1_500)).unwrap();
        assert_eq!((end.as_secs(), due.round() as u64), (2, 10_000));
    }
}
