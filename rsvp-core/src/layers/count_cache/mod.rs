//! Counts from memory, within the consistency of each caller.
//!
//! | file | contents |
//! |---|---|
//! | `store` | [`CountCache`], the store with a cache |
//! | `table` | the entries of events, in a lock-free map |
//! | `eviction` | the choice of the entry that leaves a full table |
//! | `entry` | the cache entry of one event: single flight, failure memory, next step of a caller |
//! | `cached_count` | the count of an entry, and the reads and writes that change it |
//! | `snapshot` | the count of an entry, for readers without a lock |
//! | `validity` | the states of a count |
//! | `clock` | the ticks of reads and writes |
//! | `write_fence` | the fence that keeps writes and refreshes of an event apart |
//! | `caller`, `read`, `refresh` | a caller's bounds, the ways of a read, and the shared read of the store |
//! | `room` | the bound on refreshes in flight |
//! | `writing`, `tally`, `removals` | calls that write, and their changes of counts |
//!
//! # States of a count
//!
//! | state | meaning | answers |
//! |---|---|---|
//! | none | the count has not been read | nobody |
//! | exact | each write through this cache is known to be in the count or not, and missing ones were added | callers within their bound |
//! | ambiguous | a write may be in the count or not, and no caller was told of its effect | callers within a twentieth of the greatest age |
//! | stale | the count may lack an acknowledged write | callers that waited for its read, and others while the store fails |
//!
//! A write changes the state as follows.
//! *Overlaps* means that the write had begun before the read of the count ended.
//!
//! | end of a write | none | exact | ambiguous | stale |
//! |---|---|---|---|---|
//! | applied, began after the read | none | **exact, count moves** ¹ | stale | stale |
//! | applied, overlaps the read | none | stale | stale | stale |
//! | acknowledged, unchanged | none | exact | stale | stale |
//! | acknowledged, repeated | none | stale | stale | stale |
//! | step of a removal | none | stale | stale | stale |
//! | unknown effect, or dropped | none | ambiguous | ambiguous | stale |
//! | failed without effect | none | exact | ambiguous | stale |
//!
//! ¹ A count below zero is stale.
//!
//! A read replaces the count and its state.
//! The writes that ended since the read began decide the new state:
//!
//! | end of a read | from any state to |
//! |---|---|
//! | none of these writes has changed the count, or may have | exact ² |
//! | some may have, and none was acknowledged | ambiguous |
//! | some have or may have, and one was acknowledged | stale |
//! | the read began before its entry was in the table | stale |
//! | another read overlapped it and saw another count | stale |
//! | it began before the read of the cached count | not replaced; stale if the two overlap and differ |
//! | a replica's count that differs from the cached one | not replaced; stale |
//!
//! ² Ambiguous while a failed write is still pending.
//!
//! # Logical clock
//!
//! Each read of the store and each write through the cache takes a tick
//! of the logical clock at its beginning and another one at its end. A caller takes none.
//!
//! ```text
//! tick     1    2    3    4    5    6    7    8
//! write A  |----|                                  over before R began: in the count
//! read R             |---------|                   returns the count
//! write C                 |-------------------|    overlaps R: nobody can tell
//! caller Q                   ?                     asked at tick 4, after R began
//! write B                           |----|         began after R ended: added to the count
//! ```
//!
//! An example. The store holds 10 RSVPs of an event after write A.
//! Read R returns 10, or 11 if the store has applied C by then.
//!
//! 1. Write B is acknowledged as applied at tick 7. It began after tick 5, so R has not seen it.
//!    The cached count moves by one, and stays exact.
//! 2. Write C is acknowledged as applied at tick 8.
//!    Added to 11, the count would be a number that never was.
//!    Left out of 10, the count would lack an acknowledged write.
//!    So the count is stale from tick 8 on.
//! 3. The next caller reads the store.
//! 4. Caller Q asked at tick 4, the latest tick at that time. R began at tick 3.
//!    So Q may use R only within its bound, like any count from memory.
//!    A read that began after tick 4 would be as good as its own.

mod cached_count;
mod caller;
mod clock;
mod config;
mod entry;
mod eviction;
mod read;
mod refresh;
mod refresh_room;
mod removals;
mod snapshot;
mod store;
mod table;
mod tally;
mod validity;
mod write_fence;
mod writing;

pub use self::config::CountCacheConfig;
pub use self::store::CountCache;
