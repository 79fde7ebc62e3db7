//! What a connection waits for, and until when.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::config::ServerConfig;

/// What a connection waits for, as its socket and its requests tell.
#[derive(Debug)]
pub(super) struct Phase(Mutex<State>);

#[derive(Debug)]
struct State {
    waits_for: Wait,
    /// Since when the client has not read all that is there for it.
    unread_since: Option<Instant>,
    /// Whether what the client has not read is thrown away.
    aborted: bool,
}

#[derive(Clone, Copy, Debug)]
enum Wait {
    /// The rest of a head, which began at this moment.
    Head(Instant),
    /// The answer to a request.
    Answer,
    /// The next request, since this moment.
    Next(Instant),
}

/// Why a connection is closed before its client closes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    Head,
    Idle,
    Unread,
}

impl Overdue {
    /// The name in snake case, as in a metric's label.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Head => "head_timeout",
            Self::Idle => "idle",
            Self::Unread => "not_reading",
        }
    }
}

impl Phase {
    /// A new connection: its first request must come soon.
    pub(super) fn new() -> Self {
        let waits_for = Wait::Head(Instant::now());
        Self(Mutex::new(State { waits_for, unread_since: None, aborted: false }))
    }

    /// Bytes have come.
    pub(super) fn received(&self) {
        let mut state = self.lock();
        if matches!(state.waits_for, Wait::Next(_)) {
            state.waits_for = Wait::Head(Instant::now());
        }
    }

    /// A head has come to its end. The connection waits for its client again when the returned value
    /// is dropped, with the body of the answer.
    pub(super) fn answer(self: &Arc<Self>) -> Answering {
        self.lock().waits_for = Wait::Answer;
        Answering(Arc::clone(self))
    }

    /// The client does not read.
    pub(super) fn blocked(&self) {
        self.lock().unread_since.get_or_insert_with(Instant::now);
    }

    /// Everything has been handed to the network.
    pub(super) fn flushed(&self) {
        self.lock().unread_since = None;
    }

    /// Until when the connection may wait, and for what.
    pub(super) fn due(&self, config: &ServerConfig) -> Option<(Instant, Overdue)> {
        let state = self.lock();
        let client = match state.waits_for {
            Wait::Head(since) => Some((since + config.head_timeout, Overdue::Head)),
            Wait::Next(since) => Some((since + config.keep_alive, Overdue::Idle)),
            Wait::Answer => None,
        };
        let unread = state.unread_since.map(|at| (at + config.read_timeout, Overdue::Unread));
        client.into_iter().chain(unread).min_by_key(|(at, _)| *at)
    }

    /// Whether the connection waits for a request of its client, so that nothing is lost but time if
    /// it is closed.
    pub(super) fn waits_for_client(&self) -> bool {
        !matches!(self.lock().waits_for, Wait::Answer)
    }

    /// Throws away what the client has not read, when the socket is closed.
    pub(super) fn abort(&self) {
        self.lock().aborted = true;
    }

    pub(super) fn is_aborted(&self) -> bool {
        self.lock().aborted
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Dropped when an answer has been sent, or its request has been given up.
#[derive(Debug)]
pub(super) struct Answering(Arc<Phase>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.lock().waits_for = Wait::Next(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    fn due(phase: &Phase) -> Option<(u64, Overdue)> {
        let (at, why) = phase.due(&ServerConfig::default())?;
        Some((at.saturating_duration_since(Instant::now()).as_secs(), why))
    }

    #[tokio::test(start_paused = true)]
    async fn each_phase_has_its_own_time() {
        let phase = Arc::new(Phase::new());
        advance(Duration::from_secs(4)).await;
        phase.received();
        assert_eq!(due(&phase), Some((6, Overdue::Head)), "more bytes give no more time");

        let answering = phase.answer();
        assert_eq!(due(&phase), None, "an answer takes as long as the store");
        drop(answering);
        assert_eq!(due(&phase), Some((620, Overdue::Idle)));
        phase.received();
        assert_eq!(due(&phase), Some((10, Overdue::Head)));

        let _answering = phase.answer();
        phase.blocked();
        advance(Duration::from_secs(20)).await;
        phase.blocked();
        assert_eq!(due(&phase), Some((10, Overdue::Unread)), "reading a little gives no more time");
        phase.flushed();
        assert_eq!(due(&phase), None);
    }
}
