//! The gate of all calls. It refuses new calls and waits for the others when the store is closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rsvp_core::{Error, Operation, Result};
use tokio::sync::{OwnedRwLockReadGuard, RwLock};

/// Lets calls in until it is closed. Clones are the same gate.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate {
    closed: Arc<AtomicBool>,
    /// Every call under way holds a read lock. Closing waits for the write lock.
    calls: Arc<RwLock<()>>,
}

/// A call under way, until all clones are dropped.
#[derive(Clone, Debug)]
pub(crate) struct Entered {
    _call: Arc<OwnedRwLockReadGuard<()>>,
}

impl Gate {
    /// Lets a call in.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] once the gate is closed.
    pub(super) fn enter(&self, operation: Operation) -> Result<Entered> {
        if self.is_closed() {
            return Err(Error::closed(operation));
        }
        // Only `close` takes the write lock, so a failure means a closed gate.
        let entered = self.calls.clone().try_read_owned();
        entered.map(|call| Entered { _call: Arc::new(call) }).map_err(|_| Error::closed(operation))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Lets no further call in, and waits for the calls under way.
    pub(super) async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        drop(self.calls.write().await);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn closing_waits_for_calls_under_way_and_lets_no_other_in() {
        let gate = Gate::default();
        let first = gate.enter(Operation::Write).unwrap();
        let closing = gate.clone();
        let mut closing = Box::pin(async move { closing.close().await });
        assert!(closing.as_mut().now_or_never().is_none(), "a call is under way");
        let refused = gate.enter(Operation::Ready).unwrap_err();
        assert!(matches!(refused, Error::Closed { operation: Operation::Ready, .. }));
        drop(first);
        closing.await;
        assert!(gate.enter(Operation::Write).is_err());
        gate.close().await;
    }
}
