//! Calls on their way to a thread, and their answers on the way back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use rsvp_core::{Deadline, Effect, Error, Operation, Result};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

/// How long a caller waits for a begun call after its deadline.
const GRACE: Duration = Duration::from_secs(1);

/// The time after the deadline in which a begun call may still take effect.
/// It takes effect earlier unless the disk hangs.
pub(crate) const SETTLING: Duration = Duration::from_secs(10);

const WAITING: u8 = 0;
const BEGUN: u8 = 1;
const GIVEN_UP: u8 = 2;

/// The state of a call. It leaves the first state once.
///
/// - `WAITING` in the queue
/// - `BEGUN` by a thread
/// - `GIVEN_UP` by its caller
#[derive(Debug, Default)]
struct Claim(AtomicU8);

impl Claim {
    /// Moves a waiting call to this state. Returns false if it has left the queue already.
    fn leave_for(&self, state: u8) -> bool {
        self.0.compare_exchange(WAITING, state, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// A call, as its thread holds it.
#[derive(Debug)]
pub(crate) struct Ticket<A> {
    operation: Operation,
    deadline: Deadline,
    claim: Arc<Claim>,
    reply: oneshot::Sender<Result<A>>,
}

impl<A> Ticket<A> {
    /// Begins the call. Returns `None` if the caller has gone away, or if the deadline has passed.
    pub(crate) fn begin(self) -> Option<Self> {
        if self.deadline.has_passed() {
            let late = Error::too_late(self.operation);
            self.answer(Err(late));
            return None;
        }
        // The claim decides a race with the caller at its deadline.
        let wanted = !self.reply.is_closed() && self.claim.leave_for(BEGUN);
        wanted.then_some(self)
    }

    /// Answers the call. The caller may have gone away meanwhile.
    pub(crate) fn answer(self, answer: Result<A>) {
        let _ = self.reply.send(answer);
    }

    pub(crate) fn operation(&self) -> Operation {
        self.operation
    }

    /// Returns whether the caller has gone away.
    pub(crate) fn is_closed(&self) -> bool {
        self.reply.is_closed()
    }
}

/// A call, as its caller holds it.
#[derive(Debug)]
pub(crate) struct Waiting<A> {
    operation: Operation,
    since: Instant,
    deadline: Deadline,
    claim: Arc<Claim>,
    reply: oneshot::Receiver<Result<A>>,
}

/// Creates a call. The ticket goes to the thread.
pub(crate) fn call<A>(operation: Operation, deadline: Deadline) -> (Ticket<A>, Waiting<A>) {
    let (sender, receiver) = oneshot::channel();
    let claim = Arc::<Claim>::default();
    let ticket = Ticket { operation, deadline, claim: Arc::clone(&claim), reply: sender };
    let since = Instant::now();
    (ticket, Waiting { operation, since, deadline, claim, reply: receiver })
}

impl<A> Waiting<A> {
    /// Waits for the answer until the deadline, or a second longer if the call has begun.
    pub(crate) async fn answer(mut self) -> Result<A> {
        // 1. Wait until the deadline.
        if let Ok(answer) = timeout_at(self.deadline.instant(), &mut self.reply).await {
            return answer.unwrap_or_else(|_| Err(self.lost()));
        }
        // 2. Give the call up. If it has not begun, it never will.
        if self.claim.leave_for(GIVEN_UP) {
            return Err(self.timed_out(Effect::NotApplied));
        }
        // 3. A begun call is over soon, unless the disk hangs.
        let late = self.deadline.instant() + GRACE;
        match timeout_at(late, &mut self.reply).await {
            Ok(answer) => answer.unwrap_or_else(|_| Err(self.lost())),
            Err(_) => {
                let until = Deadline::at(self.deadline.instant() + SETTLING);
                Err(self.timed_out(Effect::Pending(until)))
            }
        }
    }

    fn timed_out(&self, effect: Effect) -> Error {
        Error::timed_out(self.operation, self.since.elapsed(), effect)
    }

    /// Returns the error of a thread without an answer. It has ended, or has panicked.
    fn lost(&self) -> Error {
        let begun = !self.claim.leave_for(GIVEN_UP);
        let effect = if begun { Effect::Unknown } else { Effect::NotApplied };
        Error::unavailable(self.operation, effect, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(timeout: u64) -> (Ticket<u8>, Waiting<u8>) {
        call(Operation::Write, Deadline::after(Duration::from_millis(timeout)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_waits_past_its_deadline_never_begins() {
        let (ticket, waiting) = ends(100);
        let error = waiting.answer().await.unwrap_err();
        assert_eq!(error.effect(), Effect::NotApplied);
        assert!(ticket.begin().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_has_begun_is_waited_for_and_then_pending() {
        let (ticket, waiting) = ends(100);
        let ticket = ticket.begin().expect("it is wanted");
        let error = waiting.answer().await.unwrap_err();
        assert!(matches!(error.effect(), Effect::Pending(_)), "{error:?}");
        ticket.answer(Ok(1));

        let (ticket, waiting) = ends(100);
        let ticket = ticket.begin().expect("it is wanted");
        let answering = async {
            tokio::time::sleep(Duration::from_millis(600)).await;
            ticket.answer(Ok(7));
        };
        assert_eq!(tokio::join!(waiting.answer(), answering).0.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_call_whose_caller_has_gone_does_not_begin() {
        let (ticket, waiting) = ends(100);
        drop(waiting);
        assert!(ticket.begin().is_none());
    }

    #[tokio::test]
    async fn a_thread_that_ends_takes_no_caller_with_it() {
        let (ticket, waiting) = ends(1000);
        drop(ticket);
        assert_eq!(waiting.answer().await.unwrap_err().effect(), Effect::NotApplied);
        let (ticket, waiting) = ends(1000);
        drop(ticket.begin());
        assert_eq!(waiting.answer().await.unwrap_err().effect(), Effect::Unknown);
    }
}
