//! The attempts whose effect is not decided yet.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rsvp_core::Deadline;
use tokio::task::JoinHandle;

use super::backend_process::{Backend, Reply};
use super::bulkheads::Place;
use super::lsn::Timeline;
use super::write_set::WriteSet;

/// An attempt to change something that has no answer.
///
/// It is settled in one of three ways:
///
/// - Its process is gone.
/// - Its process was told to end, and afterwards is not in the middle of a change.
///   Such a process ends before any further change, even if it was suspended.
/// - A later promotion has made another server the primary.
///   The new primary cannot receive the change any more.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) backend: Backend,
    /// The timeline of the server.
    pub(super) timeline: Timeline,
    pub(super) write_set: Arc<WriteSet>,
    /// Held until it is settled, because the server's process may go on.
    _place: Option<Place>,
    /// The moment at which it is over even if nobody stops it, unless it is in the middle of a
    /// change.
    pub(super) over: Deadline,
    /// The process was told to end.
    told: bool,
    /// A server refused to end it, or is of another cluster and does not know it.
    refused: bool,
    /// The process was in the middle of a change at the last look.
    changing: bool,
}

impl Attempt {
    pub(super) fn new(
        backend: Backend,
        timeline: Timeline,
        write_set: WriteSet,
        place: Option<Place>,
        over: Deadline,
    ) -> Self {
        Self {
            backend,
            timeline,
            write_set: Arc::new(write_set),
            _place: place,
            over,
            told: false,
            refused: false,
            changing: false,
        }
    }

    /// Records the answer of the server on `timeline` to the request to end the process.
    /// Tells whether the attempt is settled.
    pub(super) fn hear(&mut self, timeline: Timeline, reply: &Reply) -> bool {
        // 1. Another server. Only a later primary settles the attempt, because an older one knows
        //    nothing of it.
        if timeline != self.timeline {
            self.refused |= timeline.system != self.timeline.system;
            return timeline.succeeds(self.timeline);
        }
        // 2. The same server without the right to answer.
        let Reply::Alive(alive) = reply else {
            self.refused = true;
            return false;
        };
        let alive = alive.iter().find(|alive| alive.backend == self.backend);
        let Some(alive) = alive else { return true };
        // 3. A live process. The query looks at it before it tells it to end, so only an earlier
        //    request counts.
        let settled = self.told && !alive.changing;
        self.told |= alive.told;
        self.refused |= !alive.told;
        self.changing = alive.changing;
        settled
    }

    /// Whether it is over and can have no further effect.
    /// Time alone is no proof. If nobody has reached its server since, the process may be in the
    /// middle of its commit.
    fn is_over(&self) -> bool {
        self.over.has_passed() && (self.told || self.refused) && !self.changing
    }
}

/// The unsettled attempts, and the task for settling them.
#[derive(Debug, Default)]
pub(super) struct Unsettled(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    attempts: Vec<Attempt>,
    fencer: Option<JoinHandle<()>>,
}

impl Unsettled {
    /// Adds an attempt, and starts a fencer if none is at work.
    pub(super) fn add(&self, attempt: Attempt, start_fencer: impl FnOnce() -> JoinHandle<()>) {
        let mut state = self.locked();
        state.attempts.push(attempt);
        state.ensure_fencer(start_fencer);
    }

    /// Returns the write sets of all attempts.
    /// Starts a fencer if there are any and none is at work, as after the end of its runtime.
    pub(super) fn write_sets(
        &self,
        start_fencer: impl FnOnce() -> JoinHandle<()>,
    ) -> Vec<Arc<WriteSet>> {
        let mut state = self.locked();
        state.attempts.retain(|attempt| !attempt.is_over());
        if !state.attempts.is_empty() {
            state.ensure_fencer(start_fencer);
        }
        state.attempts.iter().map(|attempt| attempt.write_set.clone()).collect()
    }

    /// Returns the processes of all attempts, for the fencer.
    /// `None` if none is left. Then the fencer ends, and the next attempt starts another one.
    pub(super) fn backends(&self) -> Option<Vec<Backend>> {
        let mut state = self.locked();
        state.attempts.retain(|attempt| !attempt.is_over());
        if state.attempts.is_empty() {
            state.fencer = None;
            return None;
        }
        Some(state.attempts.iter().map(|attempt| attempt.backend).collect())
    }

    /// Records the answer of a server to the request to end the processes `asked`, and forgets the
    /// settled attempts. Tells whether the server was the right one to ask about all of them.
    pub(super) fn hear(&self, timeline: Timeline, asked: &[Backend], reply: &Reply) -> bool {
        let mut right = true;
        let mut settled = |attempt: &mut Attempt| {
            right &= timeline == attempt.timeline || timeline.succeeds(attempt.timeline);
            asked.contains(&attempt.backend) && attempt.hear(timeline, reply)
        };
        self.locked().attempts.retain_mut(|attempt| !settled(attempt));
        right
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn ensure_fencer(&mut self, start: impl FnOnce() -> JoinHandle<()>) {
        if self.fencer.as_ref().is_none_or(JoinHandle::is_finished) {
            self.fencer = Some(start());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wire::backend_process::Alive;

    const BACKEND: Backend =
        Backend { pid: 7, started: Some(1), transaction: None, begun_by: i64::MAX };

    const HERE: Timeline = Timeline { system: 1, number: 3 };

    fn attempt() -> Attempt {
        let over = Deadline::after(Duration::from_secs(6));
        Attempt::new(BACKEND, HERE, WriteSet::default(), None, over)
    }

    fn alive(changing: bool) -> Reply {
        Reply::Alive(vec![Alive { backend: BACKEND, changing, told: true }])
    }

    fn gone() -> Reply {
        Reply::Alive(Vec::new())
    }

    #[test]
    fn an_attempt_is_settled_when_its_process_is_gone_or_the_primary_is_another() {
        assert!(attempt().hear(HERE, &gone()));
        let other =
            Alive { backend: Backend { started: Some(2), ..BACKEND }, changing: true, told: true };
        assert!(attempt().hear(HERE, &Reply::Alive(vec![other])), "the process id was used again");
        let later = Timeline { number: 4, ..HERE };
        assert!(attempt().hear(later, &alive(true)));
    }

    #[test]
    fn an_older_primary_or_another_system_does_not_settle_it() {
        let mut attempt = attempt();
        for elsewhere in [Timeline { number: 2, ..HERE }, Timeline { system: 2, number: 9 }] {
            assert!(!attempt.hear(elsewhere, &gone()), "{elsewhere:?}");
            assert!(!attempt.hear(elsewhere, &Reply::Refused), "{elsewhere:?}");
        }
        assert!(attempt.hear(HERE, &gone()));
    }

    #[test]
    fn a_process_that_was_told_to_end_settles_it_unless_it_is_changing_something() {
        let mut attempt = attempt();
        assert!(!attempt.hear(HERE, &alive(false)), "it was looked at before it was told");
        assert!(!attempt.hear(HERE, &alive(true)));
        assert!(attempt.hear(HERE, &alive(false)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_is_forgotten_when_it_is_over_unless_it_is_changing_something() {
        let unsettled = Unsettled::default();
        let fencer = || tokio::spawn(std::future::pending());
        unsettled.add(attempt(), fencer);
        assert_eq!(unsettled.write_sets(fencer).len(), 1);
        unsettled.hear(HERE, &[BACKEND], &alive(true));
        tokio::time::advance(Duration::from_secs(7)).await;
        assert_eq!(unsettled.backends(), Some(vec![BACKEND]), "it may be in its commit");
        let other = Attempt { backend: Backend { pid: 8, ..BACKEND }, ..attempt() };
        unsettled.add(other.clone(), fencer);
        tokio::time::advance(Duration::from_secs(7)).await;
        let both = Some(vec![BACKEND, other.backend]);
        assert_eq!(unsettled.backends(), both, "no server has been asked about the other one");
        unsettled.hear(HERE, &[other.backend], &Reply::Refused);
        assert_eq!(unsettled.backends(), Some(vec![BACKEND]), "the other one is over");
        unsettled.hear(HERE, &[BACKEND], &gone());
        assert_eq!(unsettled.backends(), None);
    }
}
