//! The mixes of calls.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The burst of `ticket-drop` has this many times the rate of the quiet phases.
const BURST: f64 = 10.0;

/// A mix of calls over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// One write in ten calls, on events of a Zipf distribution.
    Steady,
    /// Nine writes in ten calls, and every call on one event.
    Hot,
    /// Quiet, then a burst of RSVPs, reads and counts on one event at ten times the rate, then quiet.
    TicketDrop,
    /// Only `has_rsvped`.
    Reads,
    /// Counts, with one write in twenty calls.
    Counts,
    /// Pages of attendees and of events.
    Lists,
}

/// The shares of calls, in hundredths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mix {
    /// `rsvp` and `cancel`, whichever changes the pair.
    pub(crate) writes: u8,
    /// `has_rsvped`.
    pub(crate) reads: u8,
    /// `rsvp_count`.
    pub(crate) counts: u8,
    /// Pages of lists, half of them of attendees. The rest to a hundred.
    pub(crate) lists: u8,
    /// The events of the calls.
    pub(crate) focus: Focus,
}

/// The events that calls are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Focus {
    /// All but one, by a Zipf distribution.
    All,
    /// One event, whose users come and go.
    One,
    /// One event, to which every writer is new.
    Fresh,
}

/// A part of a run with one mix and one rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Phase {
    /// `steady`, `quiet` or `burst`.
    pub name: &'static str,
    /// When it begins, from the beginning of the run.
    pub from: Duration,
    /// When it ends.
    pub until: Duration,
    /// Calls a second, in an open loop.
    pub rate: Option<f64>,
    /// The share of callers that make calls, in a closed loop.
    pub callers: f64,
    pub(crate) mix: Mix,
}

impl Scenario {
    /// All scenarios.
    pub const ALL: [Self; 6] =
        [Self::Steady, Self::Hot, Self::TicketDrop, Self::Reads, Self::Counts, Self::Lists];

    /// The name, as on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Hot => "hot",
            Self::TicketDrop => "ticket-drop",
            Self::Reads => "reads",
            Self::Counts => "counts",
            Self::Lists => "lists",
        }
    }

    fn mix(self) -> Mix {
        let mix =
            |writes, reads, counts, lists| Mix { writes, reads, counts, lists, focus: Focus::All };
        match self {
            Self::Steady | Self::TicketDrop => mix(10, 70, 20, 0),
            Self::Hot => Mix { focus: Focus::One, ..mix(90, 5, 5, 0) },
            Self::Reads => mix(0, 100, 0, 0),
            Self::Counts => mix(5, 0, 95, 0),
            Self::Lists => mix(0, 0, 0, 100),
        }
    }

    pub(crate) fn phases(self, time: Duration, rate: Option<f64>) -> Vec<Phase> {
        let mix = self.mix();
        let phase = |name, from, until| Phase { name, from, until, rate, callers: 1.0, mix };
        if self != Self::TicketDrop {
            return vec![phase("steady", Duration::ZERO, time)];
        }
        let (begin, end) = (time / 3, time * 2 / 3);
        let burst = Mix { writes: 50, reads: 25, counts: 25, lists: 0, focus: Focus::Fresh };
        let quiet = |from, until| Phase { callers: 1.0 / BURST, ..phase("quiet", from, until) };
        let rate = rate.map(|rate| rate * BURST);
        vec![
            quiet(Duration::ZERO, begin),
            Phase { mix: burst, rate, ..phase("burst", begin, end) },
            quiet(end, time),
        ]
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = Self::ALL.map(Self::as_str).join(", ");
        let found = Self::ALL.into_iter().find(|scenario| scenario.as_str() == text);
        found.ok_or_else(|| format!("unknown scenario; supported: {names}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_drop_has_a_burst_at_ten_times_the_rate_in_its_middle() {
        let phases = Scenario::TicketDrop.phases(Duration::from_secs(9), Some(100.0));
        let seen: Vec<_> =
            phases.iter().map(|phase| (phase.name, phase.from.as_secs(), phase.rate)).collect();
        let expected =
            [("quiet", 0, Some(100.0)), ("burst", 3, Some(1000.0)), ("quiet", 6, Some(100.0))];
        assert_eq!(seen, expected);
        assert!(
            phases.iter().all(|phase| (phase.mix.focus == Focus::Fresh) == (phase.name == "burst"))
        );
    }

    #[test]
    fn the_shares_of_every_mix_are_a_whole() {
        for phase in Scenario::ALL.iter().flat_map(|s| s.phases(Duration::from_secs(1), None)) {
            let Mix { writes, reads, counts, lists, .. } = phase.mix;
            assert_eq!(writes + reads + counts + lists, 100, "{phase:?}");
        }
    }

    #[test]
    fn a_scenario_is_its_name() {
        for scenario in Scenario::ALL {
            assert_eq!(scenario.as_str().parse(), Ok(scenario));
        }
        assert!("storm".parse::<Scenario>().is_err_and(|error| error.contains("ticket-drop")));
    }
}
