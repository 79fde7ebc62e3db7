//! The logical clock of a table, and the reads and writes that it orders.
//!
//! Two clocks are kept apart. *Moments* ([`Instant`]) tell how old a count is. *Ticks* tell the order
//! of what happens to a table: each read of the store and each write through the cache takes a tick
//! when it begins and another one when it ends.
//!
//! ```text
//! ticks        1    2    3    4    5    6    7    8    9    10   11
//! read R                 [began 3 ....... ended 6]
//! write A      [1 .. 2]                                              over before R began:    in the count
//! write B           (none)                        [7 .. 8]           began after R ended:    added to it
//! write C                     [4 .............................. 9]   overlaps R:             nobody can tell
//! caller Q                                   asked 5                 may use R only within its bound
//! ```
//!
//! An example. The store holds 10 RSVPs of an event after write A. Read R returns 10 or, if the store
//! has applied C by then, 11. Write B is acknowledged as applied at tick 8: it began after 6, so it
//! is not in what R returned, and the cached count moves by one. Write C ends at tick 9. Adding it
//! to 11 would give a number that never was true, leaving it out of 10 would hide a write that was
//! acknowledged. So the count is stale from tick 9 on, and the next caller reads the store.
//!
//! A caller takes the latest tick as it is and takes none of its own: a read that began later has
//! a greater one. So a caller stores nothing that other callers load.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

use crate::SessionToken;

/// A place in the order of what happens to a table.
pub(super) type Tick = u64;

/// The ticks of a table, on a cache line of their own: writers change it all the time.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Clock(AtomicU64);

impl Clock {
    /// A tick that is later than all before.
    pub(super) fn tick(&self) -> Tick {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The latest tick.
    pub(super) fn latest(&self) -> Tick {
        self.0.load(Ordering::SeqCst)
    }
}

/// A read of the store that has begun.
#[derive(Clone, Debug)]
pub(super) struct BegunRead {
    pub(super) at: Instant,
    pub(super) began: Tick,
    /// The tokens of the writes through this cache that had been acknowledged before it began.
    pub(super) receipts: Arc<SessionToken>,
}

/// The time of a write, from its first tick to its last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) began: Tick,
    pub(super) ended: Tick,
}
