//! The logical clock of a table. It orders reads and writes.
//!
//! Two clocks are kept apart. *Moments* ([`Instant`]) give the age of a count.
//! *Ticks* give the order of reads and writes: each read of the store
//! and each write through the cache takes a tick at its beginning and another one at its end.
//!
//! A caller takes the latest tick and adds none. A read that began later has a greater tick.
//! So a caller stores nothing that other callers load.
//!
//! The documentation of the [module above](super) has a diagram and an example.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

use crate::SessionToken;

/// A place in the order of reads and writes.
pub(super) type Tick = u64;

/// The ticks of a table, on a cache line of their own, because writers change it all the time.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Clock(AtomicU64);

impl Clock {
    /// Returns a tick later than all ticks before.
    pub(super) fn tick(&self) -> Tick {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Returns the latest tick.
    pub(super) fn latest(&self) -> Tick {
        self.0.load(Ordering::SeqCst)
    }
}

/// A read of the store in flight.
#[derive(Clone, Debug)]
pub(super) struct BegunRead {
    pub(super) at: Instant,
    pub(super) began: Tick,
    /// The tokens of the writes through this cache acknowledged before the read began.
    pub(super) receipts: Arc<SessionToken>,
}

/// The time of a write, from its first tick to its last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) began: Tick,
    pub(super) ended: Tick,
}
