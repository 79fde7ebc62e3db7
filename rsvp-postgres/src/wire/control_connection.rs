//! The control connection. It stops calls of the pool, and never waits for the pool.

use std::sync::{Arc, Weak};
use std::time::Duration;

use rsvp_core::{Deadline, Effect};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::backend_process::{Backend, Reply};
use super::connection::Connection;
use super::connector::Connector;
use super::failure::is_refusal;
use super::lsn::Timeline;
use super::shutdown_gate::Gate;
use super::unsettled_attempts::{Attempt, Unsettled};
use super::write_set::WriteSet;

/// The pause before the store looks again at a process that it told to end.
/// In the background it grows to the second one.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// The longest wait of a call for an earlier attempt. Then the call is refused.
/// Most attempts are settled within a few round trips.
const SETTLING: Duration = Duration::from_millis(500);

/// The longest wait of the background task for an answer, after its wait for a connection.
const ANSWER: Duration = Duration::from_secs(1);

/// Cancels statements, and fences attempts without an answer.
#[derive(Debug)]
pub(super) struct ControlConnection {
    connector: Connector,
    /// The connection, after its first use.
    kept: Mutex<Option<Connection>>,
    /// Held while the connection is opened ahead of its need.
    preparing: Arc<Mutex<()>>,
    unsettled: Unsettled,
    gate: Gate,
}

/// A request to the server.
#[derive(Clone, Copy, Debug)]
enum Request<'a> {
    Cancel(Backend),
    End(&'a [Backend]),
}

/// The answer of a server to a request.
#[derive(Debug)]
struct Answer {
    /// The timeline of the server.
    timeline: Timeline,
    reply: Reply,
    /// No other request is still on its way.
    only_request: bool,
}

impl ControlConnection {
    pub(super) fn new(connector: Connector, gate: Gate) -> Arc<Self> {
        let (kept, preparing, unsettled) = Default::default();
        Arc::new(Self { connector, kept, preparing, unsettled, gate })
    }

    /// Opens the connection in the background, if there is none, for a call that takes long.
    /// A later opening would take a part of the time for stopping the call.
    pub(super) fn prepare(self: &Arc<Self>) {
        let missing = self.kept.try_lock().is_ok_and(|kept| kept.is_none());
        let Ok(preparing) = self.preparing.clone().try_lock_owned() else { return };
        if missing && !self.gate.is_closed() {
            let control = self.clone();
            tokio::spawn(async move {
                let connected = control.connector.connect().await;
                let mut kept = control.kept.lock().await;
                if !control.gate.is_closed() {
                    *kept = kept.take().or(connected.ok());
                }
                drop(preparing);
            });
        }
    }

    /// Asks a process to cancel its statement. Tells whether the request has certainly arrived.
    /// A later arrival would cancel the statement of another call.
    pub(super) async fn cancel(&self, backend: Backend, timeline: Timeline, by: Instant) -> bool {
        match self.ask(Request::Cancel(backend), timeline, by).await {
            Some(answer) => answer.timeline == timeline && answer.only_request,
            None => false,
        }
    }

    /// Settles an attempt until `by`, or else in the background.
    /// Returns the effect of the attempt.
    pub(super) async fn settle(self: &Arc<Self>, mut attempt: Attempt, by: Instant) -> Effect {
        // 1. Here, with short pauses, as long as the caller has time.
        let backends = [attempt.backend];
        let asked = attempt.timeline;
        while let Some(Answer { timeline, reply, .. }) =
            self.ask(Request::End(&backends), asked, by).await
        {
            if attempt.hear(timeline, &reply) {
                return Effect::Unknown;
            }
            if matches!(reply, Reply::Refused) {
                break;
            }
            sleep(FIRST_PAUSE).await;
        }
        // 2. In the background. The caller gets the moment of its end.
        let over = attempt.over;
        self.unsettled.add(attempt, || self.start_fencer());
        Effect::Pending(over)
    }

    /// Waits while an attempt that `meets` is unsettled.
    /// It waits for a short time, and for at most half of the time until the deadline.
    pub(super) async fn settling(
        self: &Arc<Self>,
        meets: impl Fn(&WriteSet) -> bool,
        deadline: Option<Deadline>,
    ) {
        let longest = deadline.map_or(SETTLING, |deadline| SETTLING.min(deadline.remaining() / 2));
        let by = Instant::now() + longest;
        while self.unsettled().iter().any(|write_set| meets(write_set)) && Instant::now() < by {
            sleep(FIRST_PAUSE).await;
        }
    }

    /// Returns the write sets of the unsettled attempts.
    pub(super) fn unsettled(self: &Arc<Self>) -> Vec<Arc<WriteSet>> {
        self.unsettled.write_sets(|| self.start_fencer())
    }

    /// Closes the connection, unless a request is using it. That request will learn its state.
    pub(super) fn give_up(&self) {
        if let Ok(mut kept) = self.kept.try_lock() {
            *kept = None;
        }
    }

    /// Gives away the connection, if there is one.
    pub(super) async fn release(&self) -> Option<Connection> {
        self.kept.lock().await.take()
    }

    /// Makes a request about a process on a server of the timeline `of`.
    /// Returns the answer, if there is one until `by`.
    async fn ask(&self, request: Request<'_>, of: Timeline, by: Instant) -> Option<Answer> {
        let mut kept = timeout_at(by, self.kept.lock()).await.ok()?;
        // 1. On the kept connection. It gets half of the time, because it may be as silent as the
        //    one to stop. Without an answer, it is closed.
        let only_request = kept.is_none();
        if let Some(mut connection) = kept.take() {
            let now = Instant::now();
            let half = now + by.saturating_duration_since(now) / 2;
            if let Ok(Some(reply)) = timeout_at(half, put(request, &mut connection)).await {
                let timeline = connection.timeline;
                *kept = Some(connection).filter(|_| is_current(timeline, of));
                return Some(Answer { timeline, reply, only_request: true });
            }
        }
        // 2. On a new one.
        let answered = async {
            let mut connection = self.connector.connect().await.ok()?;
            let reply = put(request, &mut connection).await?;
            Some((connection, reply))
        };
        let (connection, reply) = timeout_at(by, answered).await.ok()??;
        let timeline = connection.timeline;
        *kept = Some(connection).filter(|_| is_current(timeline, of));
        Some(Answer { timeline, reply, only_request })
    }

    /// Starts the task that settles attempts in the background. It ends with the store.
    fn start_fencer(self: &Arc<Self>) -> JoinHandle<()> {
        tokio::spawn(fence(Arc::downgrade(self)))
    }

    /// Runs one round of the background task, on its own connection, so that it delays no other
    /// request. Tells whether the server has answered. `None` if there is no more to do.
    async fn fence_round(&self, own: &mut Option<Connection>) -> Option<bool> {
        // 1. The remaining attempts.
        if self.gate.is_closed() {
            return None;
        }
        let backends = self.unsettled.backends()?;
        // 2. The server's answer about them.
        let answered = async {
            let mut connection = match own.take() {
                Some(connection) => connection,
                None => self.connector.connect().await.ok()?,
            };
            let reply = put(Request::End(&backends), &mut connection).await?;
            Some((connection, reply))
        };
        let longest = self.connector.longest_connect() + ANSWER;
        let Ok(Some((connection, reply))) = timeout(longest, answered).await else {
            return Some(false);
        };
        // 3. The settled attempts are forgotten.
        let right = self.unsettled.hear(connection.timeline, &backends, &reply);
        *own = Some(connection).filter(|_| right);
        Some(true)
    }
}

/// Whether a server on `timeline` is still the one to ask about a process of the timeline `of`.
/// Otherwise it may be a former primary, and the next request needs a new connection.
fn is_current(timeline: Timeline, of: Timeline) -> bool {
    timeline == of || timeline.succeeds(of)
}

/// Makes a request on a connection. `None` without a final reply.
async fn put(request: Request<'_>, connection: &mut Connection) -> Option<Reply> {
    let alive = match request {
        Request::Cancel(backend) => backend.cancel(&mut connection.pg).await.map(|()| Vec::new()),
        Request::End(backends) => Backend::end_all(backends, &mut connection.pg).await,
    };
    match alive {
        Ok(alive) => Some(Reply::Alive(alive)),
        Err(error) if is_refusal(&error) => Some(Reply::Refused),
        Err(_) => None,
    }
}

/// Settles attempts until none is left, or the store is gone.
async fn fence(control: Weak<ControlConnection>) {
    let (mut own, mut pause) = (None, FIRST_PAUSE);
    loop {
        let round = match control.upgrade() {
            Some(control) => control.fence_round(&mut own).await,
            None => None,
        };
        if round.is_none() {
            return;
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
