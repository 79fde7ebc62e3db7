//! What a caller asks of a cached count, and what it does without an answer.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::clock::Tick;
use crate::{Count, Error};

/// The counts that a caller accepts from memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// How old an exact count may be.
    pub(super) exact: Duration,
    /// How old it may be if there is a write that may be in it or not.
    pub(super) ambiguous: Duration,
    /// How old it may be while the store fails.
    pub(super) stale: Option<Duration>,
    /// Since when counts may have changed in ways that are not known: nothing that was read
    /// before is an answer.
    pub(super) not_before: Tick,
}

/// A caller that memory had no answer for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    /// When it asked. A read that began later is as good as the caller's own.
    pub(super) asked: Tick,
    pub(super) bounds: Bounds,
}

/// What a caller without an answer does next.
#[derive(Debug)]
pub(super) enum Next {
    Answer(Result<Count, Error>),
    /// Waits for the refresh under way.
    Wait(CancellationToken),
    /// Refreshes the count itself: it has the refresh lock.
    Refresh {
        /// The refresh before has failed, or did not end by its caller's deadline. It is not to hold
        /// up others.
        apart: bool,
    },
}
