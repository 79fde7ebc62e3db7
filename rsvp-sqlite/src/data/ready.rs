//! The readiness probe.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use rsvp_core::Operation;

use super::change::{Care, Change};
use super::names::Changes;
use crate::wire::failure::Failure;
use crate::wire::lock::OwnerLock;

/// Succeeds if a write would succeed. It waits in the queue of the writes.
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

    /// Probes the folder, and the file if it is in doubt.
    ///
    /// While writes succeed, a probe only writes to the lock file.
    /// A transaction for each probe would make work for programs that replicate the file.
    /// After a failed transaction, a probe also writes the version number of the file again.
    /// This needs a commit, as any write does.
    fn apply(&self, changes: &mut Changes<'_>, _: Care) -> Result<(), Failure> {
        // The writer runs this and holds the lock, so the upgrade succeeds.
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
