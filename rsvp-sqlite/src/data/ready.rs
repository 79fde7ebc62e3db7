//! Whether a write would be accepted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use rsvp_core::Operation;

use super::change::{Care, Change};
use super::names::Changes;
use crate::wire::failure::Failure;
use crate::wire::lock::OwnerLock;

/// Succeeds if a write would. It goes the way of the writes and waits behind them.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) lock: Weak<OwnerLock>,
    /// Whether the last transaction has failed.
    pub(crate) failing: Arc<AtomicBool>,
}

impl Change for Ready {
    type Answer = ();

    fn operation(&self) -> Operation {
        Operation::Ready
    }

    /// A store that works asks for room in its folder only: a transaction for each probe would make
    /// work for programs that replicate the file. One that has just failed writes its version number
    /// again, which is a transaction like any other.
    fn apply(&self, changes: &mut Changes<'_>, _: Care) -> Result<(), Failure> {
        // The thread that does this holds the lock.
        if let Some(lock) = self.lock.upgrade() {
            lock.probe().map_err(Failure::System)?;
        }
        if self.failing.load(Ordering::Relaxed) {
            let connection = changes.connection();
            let version: i64 =
                connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
            connection.pragma_update(None, "user_version", version)?;
        }
        Ok(())
    }
}
