//! Ending a run early.

use std::sync::Arc;

use tokio::sync::watch;

/// Ends a run early, with everything that was measured until then. Clones are the same switch.
#[derive(Clone, Debug)]
pub struct Stop(Arc<watch::Sender<bool>>);

impl Stop {
    /// A switch that nobody has used.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Ends the run.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Whether the run is to end.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the run is to end.
    pub async fn stopped(&self) {
        // The sender is here, so that the channel is open.
        let _ = self.0.subscribe().wait_for(|&stopped| stopped).await;
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}
