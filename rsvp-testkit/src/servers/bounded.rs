//! Waits of a store for a server that does not answer.

use std::fmt;
use std::time::Duration;

use rsvp_core::{Deadline, Operation, Result, RsvpStore};
use tokio::time::{Instant, timeout};

use super::Proxy;
use crate::every_call;

/// A server that does not answer, as a [`Proxy`] imitates it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Silence {
    /// The connections that exist say nothing any more, and new ones neither.
    Stalled,
    /// Connections are gone. New ones are accepted, and nothing is ever said on them.
    Deaf,
    /// Each connection is closed in the middle of its next answer.
    Truncated,
}

/// A call that did not keep its bound.
#[derive(Debug)]
#[non_exhaustive]
pub struct Unbounded {
    /// The operation.
    pub operation: Operation,
    /// What the server did.
    pub silence: Silence,
    /// The answer of the call if it came late, or none within ten times the bound.
    pub answer: Option<Result<()>>,
    /// How long the call took.
    pub took: Duration,
}

impl fmt::Display for Unbounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, silence, answer, took } = self;
        write!(f, "{operation} on a server that is {silence:?} took {took:?}: {answer:?}")
    }
}

/// How long a call may take.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs, reason = "a test names each of them")]
pub struct Bounds {
    /// The deadline of the calls that have one.
    pub deadline: Duration,
    /// The longest that `ready` and `close` take, which have none, by the store's own timeouts.
    pub without_deadline: Duration,
    /// What a busy machine may add.
    pub grace: Duration,
}

/// Makes every call of a store while the server behind `proxy` is silent in every way, and returns
/// those that were not over in time.
///
/// `open` opens a store that reaches its server through `proxy` alone. Each call has a store of its
/// own, whose connections are there.
///
/// # Panics
///
/// If a call fails while the server answers, if one succeeds while it does not ([`Operation::Close`]
/// may), and if the error of one is not retryable.
pub async fn unbounded_calls<S: RsvpStore>(
    proxy: &Proxy,
    open: impl AsyncFn() -> S,
    bounds: Bounds,
) -> Vec<Unbounded> {
    let mut late = Vec::new();
    for silence in [Silence::Stalled, Silence::Deaf, Silence::Truncated] {
        let mut at = 0;
        loop {
            // 1. A store whose connections are there.
            let store = open().await;
            for (operation, call) in every_call(&store, None) {
                if operation != Operation::Close {
                    call.await.unwrap_or_else(|error| panic!("{operation}: {error:?}"));
                }
            }
            // 2. The call, while the server is silent.
            match silence {
                Silence::Stalled => proxy.stall().await,
                Silence::Deaf => {
                    proxy.stall().await;
                    proxy.cut().await;
                }
                Silence::Truncated => proxy.set_truncated_answers(true),
            }
            let deadline = Deadline::after(bounds.deadline);
            let Some((operation, call)) = every_call(&store, Some(deadline)).into_iter().nth(at)
            else {
                break;
            };
            let bound = bounds.grace
                + match operation {
                    Operation::Ready | Operation::Close => bounds.without_deadline,
                    _ => bounds.deadline,
                };
            let began = Instant::now();
            let answer = timeout(bound * 10, call).await.ok();
            let took = began.elapsed();
            // 3. In time, and an error that may be repeated.
            if took > bound {
                late.push(Unbounded { operation, silence, answer, took });
            } else if operation != Operation::Close {
                let error = answer.and_then(Result::err);
                let error = error.unwrap_or_else(|| panic!("{operation} while {silence:?}"));
                assert!(error.is_retryable(), "{operation} while {silence:?}: {error:?}");
            }
            proxy.set_truncated_answers(false);
            proxy.resume().await;
            at += 1;
        }
        proxy.set_truncated_answers(false);
        proxy.resume().await;
    }
    late
}
