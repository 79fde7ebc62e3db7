//! The caller for whom a work runs on a task of its own.

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::gate::Entered;

/// The caller of a work, as the work's task sees it.
#[derive(Debug)]
pub(super) struct Caller {
    /// Keeps the store open until the work is done.
    _entered: Entered,
    /// Ends when the caller goes away, if that matters.
    present: Option<watch::Receiver<()>>,
}

/// Held by a caller as long as it waits for the answer.
#[derive(Debug)]
pub(super) struct Present(
    #[expect(dead_code, reason = "its end is what counts")] watch::Sender<()>,
);

impl Caller {
    /// A caller whose work is finished even if it goes away.
    pub(super) fn new(entered: Entered) -> Self {
        Self { _entered: entered, present: None }
    }

    /// A caller whose work is given up when it goes away, which drops the other value.
    pub(super) fn who_must_wait(entered: Entered) -> (Self, Present) {
        let (sender, receiver) = watch::channel(());
        (Self { _entered: entered, present: Some(receiver) }, Present(sender))
    }

    /// Waits until a moment, or until the caller has gone away.
    pub(super) async fn patience(&self, until: Instant) {
        match self.present.clone() {
            // It never changes, so it tells of the end only.
            Some(mut present) => drop(timeout_at(until, present.changed()).await),
            None => sleep_until(until).await,
        }
    }
}
