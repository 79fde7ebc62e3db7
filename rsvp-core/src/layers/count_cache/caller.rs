//! A caller's demands on a cached count, and its next step without an answer.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::clock::Tick;
use crate::{Count, Error};

/// The counts that a caller accepts from memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// The greatest age of an exact count.
    pub(super) exact: Duration,
    /// The greatest age of an ambiguous count.
    pub(super) ambiguous: Duration,
    /// The greatest age of a count while the store fails.
    pub(super) stale: Option<Duration>,
    /// The tick of the last unspecified change of counts. A count read before it is no answer.
    pub(super) not_before: Tick,
}

/// A caller without an answer from memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    /// The tick at which the caller asked.
    /// A read that began later is as good as the caller's own.
    pub(super) asked: Tick,
    pub(super) bounds: Bounds,
}

/// The next step of a caller without an answer.
#[derive(Debug)]
pub(super) enum Next {
    Answer(Result<Count, Error>),
    /// Wait for the refresh in flight.
    Wait(CancellationToken),
    /// Refresh the count. The caller holds the refresh lock.
    Refresh {
        /// Whether to read this event apart from others,
        /// because its last refresh failed or did not end by its caller's deadline.
        apart: bool,
    },
    /// Refresh the count once there is room for such a refresh.
    NoRoom {
        /// Whether the event would be read apart from others.
        apart: bool,
    },
}
