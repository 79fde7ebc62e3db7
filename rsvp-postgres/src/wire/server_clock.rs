//! A reading of the server's clock.

use std::time::Duration;

use tokio::time::Instant;

/// A reading of a server's clock.
///
/// It turns moments of this process into times of the server,
/// so that a statement can carry the latest time at which it may begin.
///
/// The travel time of a reading to this process is unknown.
/// Computed times are therefore early by at most the travel time, and never late.
/// They are late only if somebody sets the server's clock back after the reading.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerClock {
    /// The reading, in microseconds since 1970.
    micros: i64,
    /// The arrival of the reading.
    here: Instant,
}

impl ServerClock {
    /// Makes a reading from its number of microseconds since 1970. It has just arrived.
    pub(crate) fn just_read(micros: i64) -> Self {
        Self { micros, here: Instant::now() }
    }

    /// Returns the server's time at `moment`, in microseconds since 1970.
    pub(crate) fn at(self, moment: Instant) -> i64 {
        // One of the two is zero, because the moment is before or after the reading.
        let ahead = micros(moment.saturating_duration_since(self.here));
        let behind = micros(self.here.saturating_duration_since(moment));
        self.micros.saturating_add(ahead).saturating_sub(behind)
    }

    /// Returns the time since the reading.
    pub(crate) fn age(self) -> Duration {
        self.here.elapsed()
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_servers_time_moves_with_that_of_this_process() {
        let clock = ServerClock::just_read(5_000_000);
        let now = Instant::now();
        assert_eq!(clock.at(now + Duration::from_millis(3)), 5_003_000);
        assert_eq!(clock.at(now), 5_000_000);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(clock.at(now), 5_000_000, "whenever it is asked");
        assert_eq!(clock.at(Instant::now()), 6_000_000);
        assert_eq!(clock.age(), Duration::from_secs(1));
        let early = ServerClock::just_read(5_000_000);
        assert_eq!(early.at(now), 4_000_000);
    }
}
