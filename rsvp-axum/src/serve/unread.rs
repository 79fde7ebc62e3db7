//! The memory of unread answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Counts the bytes of answers in memory. Clients have not read them yet.
#[derive(Debug)]
pub(super) struct Unread {
    max: usize,
    bytes: AtomicUsize,
    /// Asks the connection whose client has not read for the longest time to close.
    pub(super) full: Arc<Notify>,
}

impl Unread {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, bytes: AtomicUsize::new(0), full: Arc::new(Notify::new()) })
    }

    pub(super) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        // Each further answer asks one more connection, until enough of them have closed.
        if self.is_full() {
            self.full.notify_one();
        }
    }

    pub(super) fn remove(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > self.max
    }
}
