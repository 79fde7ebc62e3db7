//! The memory of answers that clients have not read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The answers that are in memory until their clients read them.
#[derive(Debug)]
pub(super) struct Unread {
    max: usize,
    bytes: AtomicUsize,
    /// Tells the connection that has waited longest for its client to read to give up.
    pub(super) full: Arc<Notify>,
}

impl Unread {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, bytes: AtomicUsize::new(0), full: Arc::new(Notify::new()) })
    }

    pub(super) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
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
