//! From users to RSVPs, bytes and calls a second.

use serde::Serialize;

use crate::{Assumptions, Case};

const SECONDS_A_DAY: f64 = 86_400.0;

/// The numbers of a service.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Request {
    /// The number of users.
    pub users: f64,
    /// The RSVPs of a user that are stored.
    pub rsvps_per_user: f64,
    /// The number of events.
    pub events: f64,
    /// The calls of the busiest second, as a multiple of those of an average one.
    pub peak_factor: f64,
    /// The writes to the hottest event in its busiest second.
    pub hottest_event_rps: f64,
}

impl Request {
    /// Checks that the numbers can be true together.
    ///
    /// # Errors
    ///
    /// A sentence for people that names the two numbers.
    pub fn new(
        [users, rsvps_per_user, events, peak_factor, hottest_event_rps]: [f64; 5],
    ) -> Result<Self, String> {
        if rsvps_per_user > events {
            return Err(
                "--rsvps-per-user is more than --events: a user can RSVP to an event once".into()
            );
        }
        if peak_factor < 1.0 {
            return Err("--peak-factor is less than 1: a peak is at least the average".into());
        }
        Ok(Self { users, rsvps_per_user, events, peak_factor, hottest_event_rps })
    }
}

/// The work of the store and the service in the busiest second.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Workload {
    /// The RSVPs that are stored.
    pub rsvps: f64,
    /// The number of events.
    pub events: f64,
    /// Writes a second on average, the hottest event left out.
    pub average_writes: f64,
    /// The same at the peak.
    pub writes: f64,
    /// `has_rsvped` at the peak, and as many `rsvp_count`, the hottest event left out.
    pub questions: f64,
    /// Pages of lists of a user's events at the peak.
    pub lists: f64,
    /// Writes to the hottest event.
    pub hot_writes: f64,
    /// `has_rsvped` of the hottest event, and as many `rsvp_count`.
    pub hot_questions: f64,
}

impl Workload {
    /// The work that follows from a request.
    #[must_use]
    pub fn of(request: &Request, assumptions: &Assumptions, case: Case) -> Self {
        let a = |range: crate::Range| range.of(case);
        let peak = (request.peak_factor * a(assumptions.peak_factor)).max(1.0);
        let rsvps = request.users * request.rsvps_per_user * a(assumptions.rsvps_factor);
        let period = a(assumptions.days_of_rsvps) * SECONDS_A_DAY;
        let average_writes = rsvps * a(assumptions.writes_per_rsvp) / period;
        let daily = request.users * a(assumptions.daily_users) / SECONDS_A_DAY;
        let hot_writes = request.hottest_event_rps * a(assumptions.hottest_factor);
        Self {
            rsvps,
            events: request.events,
            average_writes,
            writes: average_writes * peak,
            questions: daily * a(assumptions.pages_a_day) * peak,
            lists: daily * a(assumptions.lists_a_day) * peak,
            hot_writes,
            hot_questions: hot_writes * a(assumptions.pages_per_hot_write),
        }
    }

    /// All writes at the peak.
    #[must_use]
    pub fn all_writes(&self) -> f64 {
        self.writes + self.hot_writes
    }

    /// All reads at the peak: memberships, counts and lists.
    #[must_use]
    pub fn all_reads(&self) -> f64 {
        2.0 * (self.questions + self.hot_questions) + self.lists
    }

    /// The HTTP requests of the busiest second: each call is one.
    #[must_use]
    pub fn requests(&self) -> f64 {
        self.all_writes() + self.all_reads()
    }
}
