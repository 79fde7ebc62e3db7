//! The caller of a work, and whether it still waits.

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::shutdown_gate::Entered;

/// The caller of a work, as seen by the task of the work.
#[derive(Debug)]
pub(super) struct Caller {
    /// Keeps the store open until the work is done.
    _entered: Entered,
    /// Closes when the caller goes away. `None` if the work goes on without it.
    present: Option<watch::Receiver<()>>,
}

/// The guard of a caller, which holds it as long as it waits for the answer.
#[derive(Debug)]
pub(super) struct Present(
    #[expect(dead_code, reason = "its end is what counts")] watch::Sender<()>,
);

impl Caller {
    /// Makes a caller whose work is finished even if the caller goes away.
    pub(super) fn new(entered: Entered) -> Self {
        Self { _entered: entered, present: None }
    }

    /// Makes a caller whose work is cancelled when the caller drops the guard.
    pub(super) fn who_must_wait(entered: Entered) -> (Self, Present) {
        let (sender, receiver) = watch::channel(());
        (Self { _entered: entered, present: Some(receiver) }, Present(sender))
    }

    /// Waits until a moment, or until the caller has gone away.
    pub(super) async fn patience(&self, until: Instant) {
        match self.present.clone() {
            // Nothing is ever sent, so it ends only with the sender.
            Some(mut present) => drop(timeout_at(until, present.changed()).await),
            None => sleep_until(until).await,
        }
    }
}
