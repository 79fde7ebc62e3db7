//! The phase of a connection, and its time-out.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::config::ServerConfig;
use super::unread::Unread;

/// The phase of a connection, reported by its socket and its requests.
#[derive(Debug)]
pub(super) struct Phase {
    state: Mutex<State>,
    unread: Arc<Unread>,
}

#[derive(Debug)]
struct State {
    waits_for: Wait,
    /// The moment of the first blocked write since the last complete one.
    unread_since: Option<Instant>,
    /// The size of the answers in memory, in bytes.
    unread_bytes: usize,
    /// Whether the unread bytes are dropped when the socket closes.
    aborted: bool,
}

#[derive(Clone, Copy, Debug)]
enum Wait {
    /// The rest of a head, since its beginning at this moment.
    Head(Instant),
    /// The answer to a request.
    Answer,
    /// The next request, since this moment.
    Next(Instant),
}

/// Why the server closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    Head,
    Idle,
    Unread,
}

impl Overdue {
    /// Returns the name in snake case, for the label of a metric.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Head => "head_timeout",
            Self::Idle => "idle",
            Self::Unread => "not_reading",
        }
    }
}

impl Phase {
    /// Begins the phase of a new connection. Its first head has to arrive in time.
    pub(super) fn new(unread: Arc<Unread>) -> Self {
        let waits_for = Wait::Head(Instant::now());
        let state = State { waits_for, unread_since: None, unread_bytes: 0, aborted: false };
        Self { state: Mutex::new(state), unread }
    }

    /// Records received bytes.
    pub(super) fn received(&self) {
        let mut state = self.lock();
        // Only the first byte of a head starts its time, so a client cannot extend it byte by byte.
        if matches!(state.waits_for, Wait::Next(_)) {
            state.waits_for = Wait::Head(Instant::now());
        }
    }

    /// Records the end of a head.
    ///
    /// The connection waits for its client again when the returned value is dropped,
    /// together with the body of the answer.
    pub(super) fn answer(self: &Arc<Self>) -> Answering {
        self.lock().waits_for = Wait::Answer;
        Answering(Arc::clone(self))
    }

    /// Records a blocked write, because the client does not read.
    pub(super) fn blocked(&self) {
        self.lock().unread_since.get_or_insert_with(Instant::now);
    }

    /// Records an answer in memory, with its number of bytes.
    pub(super) fn answered(&self, bytes: usize) {
        self.lock().unread_bytes += bytes;
        self.unread.add(bytes);
    }

    /// Records the end of all writes. No answer is in memory any more.
    pub(super) fn flushed(&self) {
        let mut state = self.lock();
        state.unread_since = None;
        self.unread.remove(std::mem::take(&mut state.unread_bytes));
    }

    /// Returns the next time-out of the connection and its reason.
    pub(super) fn due(&self, config: &ServerConfig) -> Option<(Instant, Overdue)> {
        let state = self.lock();
        let client = match state.waits_for {
            Wait::Head(since) => Some((since + config.head_timeout, Overdue::Head)),
            Wait::Next(since) => Some((since + config.keep_alive, Overdue::Idle)),
            Wait::Answer => None,
        };
        // A client can be late with its request and with reading at once. The earlier time counts.
        let unread = state.unread_since.map(|at| (at + config.read_timeout, Overdue::Unread));
        client.into_iter().chain(unread).min_by_key(|(at, _)| *at)
    }

    /// Returns whether the connection waits for a request. Closing it then loses no answer.
    pub(super) fn waits_for_request(&self) -> bool {
        let state = self.lock();
        !matches!(state.waits_for, Wait::Answer) && state.unread_since.is_none()
    }

    /// Returns whether a write is blocked.
    pub(super) fn is_blocked(&self) -> bool {
        self.lock().unread_since.is_some()
    }

    /// Drops the unread bytes when the socket is closed.
    pub(super) fn abort(&self) {
        self.lock().aborted = true;
    }

    pub(super) fn is_aborted(&self) -> bool {
        self.lock().aborted
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Phase {
    fn drop(&mut self) {
        // The answers of a closed connection leave the memory with it.
        self.flushed();
    }
}

/// An answer in progress. It is dropped after the answer was sent, or its request was given up.
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
        let phase = Arc::new(Phase::new(Unread::new(0)));
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
        advance(Duration::from_secs(10)).await;
        phase.blocked();
        assert_eq!(due(&phase), Some((5, Overdue::Unread)), "reading a little gives no more time");
        phase.flushed();
        assert_eq!(due(&phase), None);
    }

    #[test]
    fn an_answer_is_in_memory_until_it_is_flushed_or_its_connection_is_gone() {
        let unread = Unread::new(10);
        let (one, other) = (Phase::new(unread.clone()), Phase::new(unread.clone()));
        one.answered(6);
        other.answered(5);
        assert!(unread.is_full());
        one.flushed();
        assert!(!unread.is_full());
        one.answered(6);
        assert!(unread.is_full());
        drop(other);
        assert!(!unread.is_full());
    }
}
