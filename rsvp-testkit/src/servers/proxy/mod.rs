//! A TCP proxy that stalls, delays, cuts and refuses connections, and counts round trips.

mod connection;
mod state;
mod turns;

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::port::PortLease;
use state::{Flow, State, wait_for};
use turns::Conversation;

pub use turns::Turns;

/// A TCP proxy on 127.0.0.1 in front of a server on another port, for network faults.
///
/// It forwards from the start. It belongs to the runtime that started it.
/// Dropping it closes its port and all connections.
/// In each direction it buffers at most 1 MiB for a connection.
/// After that a sender waits, as with any full connection.
///
/// ```no_run
/// use std::time::Duration;
/// use rsvp_testkit::servers::{PostgresServer, Proxy};
///
/// # #[tokio::main]
/// # async fn main() {
/// let server = PostgresServer::start().await;
/// let proxy = Proxy::start(server.port()).await;
/// proxy.set_delay(Duration::from_millis(50));
/// // Connections to `proxy.port()` have a round trip of 100 ms now.
/// proxy.cut().await;
/// # }
/// ```
#[derive(Debug)]
pub struct Proxy {
    port: PortLease,
    state: watch::Sender<State>,
    listening: watch::Receiver<bool>,
    connections: Arc<Connections>,
    /// Ends the acceptor, and the connections with it, on drop.
    _acceptor: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Connections {
    accepted: AtomicUsize,
    /// Notifies the connections opened since the last cut.
    cut: Mutex<watch::Sender<bool>>,
    /// The conversations of every connection, until their turns are taken after its end.
    turns: Mutex<Vec<Arc<Conversation>>>,
}

impl Connections {
    fn cut(&self) -> MutexGuard<'_, watch::Sender<bool>> {
        self.cut.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turns(&self) -> MutexGuard<'_, Vec<Arc<Conversation>>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Proxy {
    /// Starts a proxy in front of 127.0.0.1:`target`. The target need not listen yet.
    pub async fn start(target: u16) -> Self {
        let port = PortLease::take();
        let (state, _) = watch::channel(State {
            flow: Flow::Forward,
            delay: Duration::ZERO,
            target,
            silent_below: 0,
            truncates_answers: false,
        });
        let (listens, listening) = watch::channel(false);
        let connections = Arc::new(Connections::default());
        let mut acceptor = JoinSet::new();
        acceptor.spawn(accept(port.port(), state.subscribe(), listens, Arc::clone(&connections)));
        let proxy = Self { port, state, listening, connections, _acceptor: acceptor };
        proxy.until_listening(true).await;
        proxy
    }

    /// Returns the proxy's port, for use instead of the server's.
    pub fn port(&self) -> u16 {
        self.port.port()
    }

    /// Forwards each chunk this long after its arrival, in both directions.
    /// So a round trip takes twice as long more, in the time of `tokio`.
    pub fn set_delay(&self, delay: Duration) {
        self.state.send_modify(|state| state.delay = delay);
    }

    /// Closes each connection in the middle of its next answer, after one half of it.
    /// `false` ends this.
    pub fn set_truncated_answers(&self, truncated: bool) {
        self.state.send_modify(|state| state.truncates_answers = truncated);
    }

    /// Connects new connections to 127.0.0.1:`target`. Existing ones keep their target.
    pub fn retarget(&self, target: u16) {
        self.state.send_modify(|state| state.target = target);
    }

    /// Forwards nothing any more, not even the end of a connection. Still accepts connections.
    pub async fn stall(&self) {
        self.set_flow(Flow::Stall).await;
    }

    /// Stalls existing connections, and forwards new ones.
    pub fn stall_existing(&self) {
        let accepted = self.accepted();
        self.state.send_modify(|state| state.silent_below = accepted);
    }

    /// Resets (RST) all connections on both sides, and returns after they are closed.
    ///
    /// Their data in flight is lost. New connections are forwarded.
    pub async fn cut(&self) {
        // The old sender goes to the open connections, and a new one serves later connections.
        let current = std::mem::take(&mut *self.connections.cut());
        current.send_replace(true);
        // Every connection drops its receiver at its end.
        current.closed().await;
    }

    /// Refuses new connections and cuts existing ones.
    pub async fn refuse(&self) {
        self.set_flow(Flow::Refuse).await;
        self.cut().await;
    }

    /// Forwards again after [`stall`](Self::stall),
    /// [`stall_existing`](Self::stall_existing) or [`refuse`](Self::refuse),
    /// beginning with the data held back by a stall. The delay stays.
    pub async fn resume(&self) {
        self.state.send_modify(|state| state.silent_below = 0);
        self.set_flow(Flow::Forward).await;
    }

    /// Returns the number of connections accepted since its start.
    pub fn accepted(&self) -> usize {
        self.connections.accepted.load(Ordering::SeqCst)
    }

    /// Returns the number of open connections.
    pub fn open(&self) -> usize {
        self.connections.cut().receiver_count()
    }

    /// Returns the round trips since the last call of this method.
    ///
    /// A client that still sends a request while its answer arrives begins another turn.
    /// So set a [delay](Self::set_delay) longer than the sending of a request.
    pub fn take_turns(&self) -> Turns {
        let mut turns = self.connections.turns();
        let all = turns.iter().map(|one| one.take()).fold(Turns::default(), Turns::and);
        // A connection holds its conversation until it is closed.
        turns.retain(|one| Arc::strong_count(one) > 1);
        all
    }

    async fn set_flow(&self, flow: Flow) {
        self.state.send_modify(|state| state.flow = flow);
        self.until_listening(flow != Flow::Refuse).await;
    }

    async fn until_listening(&self, expected: bool) {
        let mut listening = self.listening.clone();
        let outcome = listening.wait_for(|listening| *listening == expected).await;
        assert!(outcome.is_ok(), "the proxy could not listen on port {}", self.port());
    }
}

async fn accept(
    port: u16,
    mut state: watch::Receiver<State>,
    listens: watch::Sender<bool>,
    connections: Arc<Connections>,
) {
    let mut tasks = JoinSet::new();
    loop {
        // Each round of this loop is the time of one listener. A refusing proxy has none,
        // so the kernel refuses connections for it.
        wait_for(&mut state, |state| state.flow != Flow::Refuse).await;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .unwrap_or_else(|error| panic!("the proxy's port {port}: {error}"));
        listens.send_replace(true);
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    // A client may have given up before the accept.
                    if let Ok((client, _)) = accepted {
                        open(client, &state, &connections, &mut tasks);
                    }
                }
                // Ended connections must leave the set, or it would grow for ever.
                Some(_) = tasks.join_next() => {}
                _ = wait_for(&mut state, |state| state.flow == Flow::Refuse) => break,
            }
        }
        drop(listener);
        listens.send_replace(false);
    }
}

fn open(
    client: TcpStream,
    state: &watch::Receiver<State>,
    connections: &Connections,
    tasks: &mut JoinSet<()>,
) {
    // Subscribe before the connection is counted, so that a cut after the count reaches it.
    let cut = connections.cut().subscribe();
    let number = connections.accepted.fetch_add(1, Ordering::SeqCst);
    let turns = Arc::new(Conversation::default());
    connections.turns().push(Arc::clone(&turns));
    tasks.spawn(connection::serve(cut, state.clone(), (number, turns), client));
}
