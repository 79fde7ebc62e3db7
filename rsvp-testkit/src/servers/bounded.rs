//! The waits of a store for a silent server.

use std::fmt;
use std::time::Duration;

use rsvp_core::{Deadline, Operation, Result, RsvpStore};
use tokio::time::{Instant, timeout};

use super::Proxy;
use crate::every_call;

/// The silence of a server, imitated by a [`Proxy`].
///
/// ```
/// use rsvp_testkit::servers::Silence;
///
/// /// The expected behaviour of an engine's client.
/// fn is_reconnect_useful(silence: Silence) -> bool {
///     matches!(silence, Silence::Truncated)
/// }
/// assert!(!is_reconnect_useful(Silence::Stalled));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Silence {
    /// Existing connections say nothing any more, and new ones neither.
    Stalled,
    /// Existing connections are gone. New ones are accepted, and say nothing.
    Deaf,
    /// Each connection is closed in the middle of its next answer.
    Truncated,
}

/// A call that did not keep its bound.
///
/// ```
/// use rsvp_testkit::servers::Unbounded;
///
/// /// Describes the result of `unbounded_calls` for an assertion.
/// fn describe(calls: &[Unbounded]) -> Vec<String> {
///     calls.iter().map(|call| format!("{} took {:?}", call.operation, call.took)).collect()
/// }
/// assert!(describe(&[]).is_empty());
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Unbounded {
    /// The operation.
    pub operation: Operation,
    /// The silence of the server.
    pub silence: Silence,
    /// The answer of the call if it came late.
    /// `None` without an answer within ten times the bound.
    pub answer: Option<Result<()>>,
    /// The duration of the call.
    pub took: Duration,
}

impl fmt::Display for Unbounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, silence, answer, took } = self;
        write!(f, "{operation} on a server that is {silence:?} took {took:?}: {answer:?}")
    }
}

/// The bounds on the duration of a call.
///
/// ```no_run
/// use std::time::Duration;
/// use rsvp_memory::MemoryStore;
/// use rsvp_testkit::servers::{Bounds, PostgresServer, Proxy, unbounded_calls};
///
/// # #[tokio::main]
/// # async fn main() {
/// let server = PostgresServer::start().await;
/// let proxy = Proxy::start(server.port()).await;
/// let bounds = Bounds {
///     deadline: Duration::from_secs(1),
///     without_deadline: Duration::from_secs(3),
///     grace: Duration::from_secs(1),
/// };
/// // In the place of the memory store: a store with the proxy as its server.
/// let late = unbounded_calls(&proxy, async || MemoryStore::new(), bounds).await;
/// assert!(late.is_empty(), "{late:?}");
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs, reason = "a test names each of them")]
pub struct Bounds {
    /// The deadline of the calls with one.
    pub deadline: Duration,
    /// The longest duration of `ready` and `close` by the store's own timeouts,
    /// because these calls have no deadline.
    pub without_deadline: Duration,
    /// The extra time for a busy machine.
    pub grace: Duration,
}

/// Makes every call of a store while the server behind `proxy` is silent in every way.
/// Returns the calls that did not end in time.
///
/// `open` opens a store with `proxy` as its only way to the server.
/// Each call has a store of its own with open connections.
///
/// # Panics
///
/// If a call fails while the server answers, if one succeeds during the silence (except
/// [`Operation::Close`]), or if the error of a call is not retryable.
pub async fn unbounded_calls<S: RsvpStore>(
    proxy: &Proxy,
    open: impl AsyncFn() -> S,
    bounds: Bounds,
) -> Vec<Unbounded> {
    let mut late = Vec::new();
    for silence in [Silence::Stalled, Silence::Deaf, Silence::Truncated] {
        let mut at = 0;
        loop {
            // 1. Open a store, and its connections.
            let store = open().await;
            for (operation, call) in every_call(&store, None) {
                if operation != Operation::Close {
                    call.await.unwrap_or_else(|error| panic!("{operation}: {error:?}"));
                }
            }
            // 2. Make the call while the server is silent.
            match silence {
                Silence::Stalled => proxy.stall().await,
                Silence::Deaf => {
                    // Cut connections can be replaced, but the new ones get no answer either.
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
            // Without this limit an unbounded call would hang the test instead of being reported.
            let answer = timeout(bound * 10, call).await.ok();
            let took = began.elapsed();
            // 3. The call must end in time, with a retryable error.
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
