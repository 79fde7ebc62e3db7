//! The bulkheads of a pool, which bound the connections of each kind of call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rsvp_core::{Error, Operation, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// The most calls that may wait for a place. One more is refused at once.
const MAX_WAITING: usize = 16_384;

/// The places of the calls that change something.
///
/// A fifth of the connections, and at least one of several, is left to reads.
/// All changes may wait at once, for a lock or for an absent synchronous standby.
/// A readiness probe is a change, too. Only one probe runs at a time.
///
/// While a synchronous standby is absent, changes are committed and never confirmed.
/// Then one change at a time is tried, and the others are refused before any effect.
///
/// A change gives its place back once it is settled.
/// So the number of places bounds the server's processes that change something,
/// even after their connections are lost.
#[derive(Clone, Debug)]
pub(super) struct Bulkheads {
    changes: Arc<Semaphore>,
    probes: Arc<Semaphore>,
    /// Has one permit, for the change that is tried while changes are not confirmed.
    trial: Arc<Semaphore>,
    unconfirmed: Arc<AtomicBool>,
    waiting: Arc<AtomicUsize>,
}

/// The place of one change, until all clones are dropped.
#[derive(Clone, Debug)]
pub(super) struct Place {
    _permits: Arc<[OwnedSemaphorePermit]>,
}

impl Bulkheads {
    /// Makes the places of a pool of `connections`.
    pub(super) fn new(connections: usize) -> Self {
        let for_reads = if connections > 1 { connections.div_ceil(5) } else { 0 };
        Self {
            changes: Arc::new(Semaphore::new(connections - for_reads)),
            probes: Arc::new(Semaphore::new(1)),
            trial: Arc::new(Semaphore::new(1)),
            unconfirmed: Arc::default(),
            waiting: Arc::default(),
        }
    }

    /// Waits for a place for a call of this kind until `by`.
    ///
    /// # Errors
    ///
    /// [`Error::Overloaded`] if there is none by then, or if too many calls wait already.
    pub(super) async fn enter(&self, operation: Operation, by: Instant) -> Result<Place> {
        let overloaded = || Error::overloaded(operation);
        let _waiting = Waiting::among(&self.waiting).ok_or_else(overloaded)?;
        // The scarce permits come first, so that a call takes no place while it waits for them.
        let mut permits = Vec::with_capacity(3);
        let probes = (operation == Operation::Ready).then_some(&self.probes);
        let trial = self.unconfirmed.load(Ordering::Relaxed).then_some(&self.trial);
        for kind in probes.into_iter().chain(trial).chain([&self.changes]) {
            let permit = timeout_at(by, kind.clone().acquire_owned()).await;
            permits.push(permit.map_err(|_| overloaded())?.map_err(|_| overloaded())?);
        }
        Ok(Place { _permits: permits.into() })
    }

    /// Records the commit of a change, confirmed or not.
    pub(super) fn committed(&self, confirmed: bool) {
        self.unconfirmed.store(!confirmed, Ordering::Relaxed);
    }
}

/// One of the calls that wait for a place.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    /// Adds one call, if there are not too many.
    fn among(waiting: &'a AtomicUsize) -> Option<Self> {
        let one_more = Self(waiting);
        (waiting.fetch_add(1, Ordering::Relaxed) < MAX_WAITING).then_some(one_more)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn enter(bulkheads: &Bulkheads, operation: Operation) -> Result<Place> {
        bulkheads.enter(operation, Instant::now() + Duration::from_secs(1)).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_fifth_of_the_connections_is_left_to_reads() {
        for (connections, changes) in [(1, 1), (2, 1), (5, 4), (10, 8), (11, 8)] {
            let bulkheads = Bulkheads::new(connections);
            let mut held = Vec::new();
            for _ in 0..changes {
                held.push(enter(&bulkheads, Operation::Write).await.unwrap());
            }
            let refused = enter(&bulkheads, Operation::Write).await.unwrap_err();
            assert!(matches!(refused, Error::Overloaded { .. }), "{connections}: {refused:?}");
            held.pop();
            assert!(enter(&bulkheads, Operation::Write).await.is_ok());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_probe_at_a_time_uses_a_place() {
        let bulkheads = Bulkheads::new(10);
        let probe = enter(&bulkheads, Operation::Ready).await.unwrap();
        assert!(enter(&bulkheads, Operation::Ready).await.is_err());
        assert_eq!(bulkheads.changes.available_permits(), 7);
        drop(probe);
        assert!(enter(&bulkheads, Operation::Ready).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn one_change_at_a_time_is_tried_while_changes_are_not_confirmed() {
        let bulkheads = Bulkheads::new(10);
        bulkheads.committed(false);
        let trial = enter(&bulkheads, Operation::Write).await.unwrap();
        assert!(enter(&bulkheads, Operation::Write).await.is_err());
        assert_eq!(bulkheads.changes.available_permits(), 7, "those that wait have no place");
        bulkheads.committed(true);
        assert!(enter(&bulkheads, Operation::Write).await.is_ok());
        drop(trial);
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_those_that_wait_is_bounded() {
        let bulkheads = Bulkheads::new(1);
        let _held = enter(&bulkheads, Operation::Write).await.unwrap();
        bulkheads.waiting.store(MAX_WAITING, Ordering::Relaxed);
        let began = Instant::now();
        assert!(enter(&bulkheads, Operation::Write).await.is_err());
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert_eq!(bulkheads.waiting.load(Ordering::Relaxed), MAX_WAITING);
    }
}
