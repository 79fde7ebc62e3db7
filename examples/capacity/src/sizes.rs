//! The five sizes of `docs/scaling.md`.

use crate::{Backend, Request};

/// A size of the service, and the backend that suits it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Size {
    /// Its name.
    pub name: &'static str,
    /// Users, RSVPs of a user, events, peak factor, writes to the hottest event.
    numbers: [f64; 5],
    /// The backend that suits it.
    pub backend: Backend,
}

impl Size {
    /// Its numbers.
    #[must_use]
    pub fn request(&self) -> Request {
        let [users, rsvps_per_user, events, peak_factor, hottest_event_rps] = self.numbers;
        Request { users, rsvps_per_user, events, peak_factor, hottest_event_rps }
    }
}

/// From one process to ten times 100 million users.
pub const SIZES: [Size; 5] = [
    Size { name: "one process", numbers: [1e4, 10.0, 1e3, 10.0, 50.0], backend: Backend::Memory },
    Size { name: "one file", numbers: [1e6, 10.0, 1e5, 10.0, 1e3], backend: Backend::Sqlite },
    Size { name: "one server", numbers: [1e7, 10.0, 1e6, 10.0, 5e3], backend: Backend::Postgres },
    Size { name: "shards", numbers: [1e8, 10.0, 1e7, 10.0, 2e4], backend: Backend::Postgres },
    Size { name: "ten times", numbers: [1e9, 10.0, 1e8, 10.0, 1e5], backend: Backend::Redis },
];
