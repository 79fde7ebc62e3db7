//! A TCP proxy that stalls, delays, cuts and refuses, and counts round trips.

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

/// A TCP proxy on 127.0.0.1 in front of a server on another port, for faults of the network.
///
/// It starts out forwarding. It belongs to the runtime it was started in, and dropping it closes its
/// port and all connections. In each direction it holds at most 1 MiB for a connection; beyond that
/// a sender is slowed down as by any full connection.
#[derive(Debug)]
pub struct Proxy {
    port: PortLease,
    state: watch::Sender<State>,
    listening: watch::Receiver<bool>,
    connections: Arc<Connections>,
    /// Ends the acceptor, and with it the connections, when dropped.
    _acceptor: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Connections {
    accepted: AtomicUsize,
    /// Tells the connections opened since the last cut that they are cut.
    cut: Mutex<watch::Sender<bool>>,
    /// Those of every connection whose turns have not been taken since it was closed.
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
    /// Starts a proxy in front of 127.0.0.1:`target`, where nobody needs to listen yet.
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

    /// The port to connect to instead of the server's.
    pub fn port(&self) -> u16 {
        self.port.port()
    }

    /// Forwards each chunk this long after it arrived, in both directions: a round trip takes twice
    /// as long more. Measured in `tokio`'s time.
    pub fn set_delay(&self, delay: Duration) {
        self.state.send_modify(|state| state.delay = delay);
    }

    /// Closes each connection in the middle of its next answer, of which it forwards one half, or
    /// does so no more.
    pub fn set_truncated_answers(&self, truncated: bool) {
        self.state.send_modify(|state| state.truncates_answers = truncated);
    }

    /// Connects new connections to 127.0.0.1:`target`; those that exist stay where they are.
    pub fn retarget(&self, target: u16) {
        self.state.send_modify(|state| state.target = target);
    }

    /// Forwards nothing any more, not even the end of a connection, and still accepts connections.
    pub async fn stall(&self) {
        self.set_flow(Flow::Stall).await;
    }

    /// Stalls the connections that exist, and forwards new ones.
    pub fn stall_existing(&self) {
        let accepted = self.accepted();
        self.state.send_modify(|state| state.silent_below = accepted);
    }

    /// Resets (RST) all connections on both sides, and returns when they are closed.
    ///
    /// Data under way in them is lost. New connections are served.
    pub async fn cut(&self) {
        let current = std::mem::take(&mut *self.connections.cut());
        current.send_replace(true);
        current.closed().await;
    }

    /// Refuses new connections and cuts those that exist.
    pub async fn refuse(&self) {
        self.set_flow(Flow::Refuse).await;
        self.cut().await;
    }

    /// Forwards again after [`stall`](Self::stall), [`stall_existing`](Self::stall_existing) or
    /// [`refuse`](Self::refuse), beginning with what a stall held back. The delay stays.
    pub async fn resume(&self) {
        self.state.send_modify(|state| state.silent_below = 0);
        self.set_flow(Flow::Forward).await;
    }

    /// The number of connections accepted since its start.
    pub fn accepted(&self) -> usize {
        self.connections.accepted.load(Ordering::SeqCst)
    }

    /// The number of open connections.
    pub fn open(&self) -> usize {
        self.connections.cut().receiver_count()
    }

    /// The round trips since this was last called.
    ///
    /// A client that still sends a request while its answer arrives begins another turn. So set a
    /// [delay](Self::set_delay) that is longer than sending one takes.
    pub fn take_turns(&self) -> Turns {
        let mut turns = self.connections.turns();
        let all = turns.iter().map(|one| one.take()).fold(Turns::default(), Turns::and);
        // A connection holds its own until it is closed.
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
        wait_for(&mut state, |state| state.flow != Flow::Refuse).await;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .unwrap_or_else(|error| panic!("the proxy's port {port}: {error}"));
        listens.send_replace(true);
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    // A client may have given up before it was accepted.
                    if let Ok((client, _)) = accepted {
                        open(client, &state, &connections, &mut tasks);
                    }
                }
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
    let cut = connections.cut().subscribe();
    let number = connections.accepted.fetch_add(1, Ordering::SeqCst);
    let turns = Arc::new(Conversation::default());
    connections.turns().push(Arc::clone(&turns));
    tasks.spawn(connection::serve(cut, state.clone(), (number, turns), client));
}
