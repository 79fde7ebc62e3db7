//! The settings of a proxy.

use std::time::Duration;

use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Forward,
    Stall,
    Refuse,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    pub(super) flow: Flow,
    pub(super) delay: Duration,
    pub(super) target: u16,
    /// Connections with a lower number say nothing.
    pub(super) silent_below: usize,
    /// Whether to close each connection in the middle of its next answer.
    pub(super) truncates_answers: bool,
}

/// Waits until `condition` holds. Waits for ever if nobody can change the state any more.
pub(super) async fn wait_for(
    state: &mut watch::Receiver<State>,
    condition: impl Fn(&State) -> bool,
) -> State {
    let reached = state.wait_for(condition).await.map(|state| *state);
    match reached {
        Ok(state) => state,
        Err(_) => std::future::pending().await,
    }
}
