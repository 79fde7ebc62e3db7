//! The settings of a run.

mod scenario;

use std::time::Duration;

pub(crate) use self::scenario::{Focus, Mix};
pub use self::scenario::{Phase, Scenario};

/// The number of callers of a closed loop, unless the plan sets another one.
const CLOSED_CALLERS: usize = 64;
/// The number of callers of an open loop. Calls that are due wait for a free caller.
const OPEN_CALLERS: usize = 1024;

/// The settings of a run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The mix of calls over time.
    pub scenario: Scenario,
    /// How long calls are made.
    pub time: Duration,
    /// The number of calls at once at most.
    pub callers: usize,
    /// Calls a second. `None` makes a closed loop.
    pub rate: Option<f64>,
    /// The seed of every random choice.
    pub seed: u64,
    /// The number of events that calls are spread over.
    pub events: usize,
    /// The number of users.
    pub users: usize,
}

impl Plan {
    /// A closed loop of 64 callers on 1,000 events and 200,000 users.
    #[must_use]
    pub fn new(scenario: Scenario, time: Duration) -> Self {
        let (callers, events, users) = (CLOSED_CALLERS, 1_000, 200_000);
        Self { scenario, time, callers, rate: None, seed: 0, events, users }
    }

    /// Makes an open loop at this rate, with 1,024 callers, or a closed loop.
    #[must_use]
    pub fn with_rate(self, rate: Option<f64>) -> Self {
        let callers = if rate.is_some() { OPEN_CALLERS } else { CLOSED_CALLERS };
        Self { rate, callers, ..self }
    }

    /// Sets the number of callers.
    #[must_use]
    pub fn with_callers(self, callers: usize) -> Self {
        Self { callers: callers.max(1), ..self }
    }

    /// Sets the seed.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The parts of the run, one after another.
    #[must_use]
    pub fn phases(&self) -> Vec<Phase> {
        self.scenario.phases(self.time, self.rate)
    }
}
