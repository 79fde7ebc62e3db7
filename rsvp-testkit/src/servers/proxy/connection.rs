//! One connection through the proxy.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use futures_util::future::try_join;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::state::{Flow, State, wait_for};
use super::turns::Conversation;

/// The number of bytes of one read, and the number of such chunks in the queue of each direction.
const CHUNK: usize = 16 * 1024;
const CHUNKS: usize = 64;

/// The error of a connection after a truncated answer. Reads and writes never return it.
const TRUNCATED: io::ErrorKind = io::ErrorKind::UnexpectedEof;

/// Forwards between `client` and the target until both directions end, one fails, or a cut.
///
/// The connection counts as open until `cut` is dropped, so drop `cut` last.
pub(super) async fn serve(
    mut cut: watch::Receiver<bool>,
    state: watch::Receiver<State>,
    (number, turns): (usize, Arc<Conversation>),
    client: TcpStream,
) {
    relay(&mut cut, Gate { number, state }, &turns, client).await;
}

/// The state of the proxy, as seen by one of its connections.
#[derive(Clone)]
struct Gate {
    number: usize,
    state: watch::Receiver<State>,
}

impl Gate {
    /// Waits until the connection is forwarded.
    async fn flowing(&mut self) -> State {
        let number = self.number;
        wait_for(&mut self.state, |state| {
            state.flow == Flow::Forward && number >= state.silent_below
        })
        .await
    }
}

async fn relay(
    cut: &mut watch::Receiver<bool>,
    gate: Gate,
    turns: &Conversation,
    mut client: TcpStream,
) {
    let mut server = None;
    let ended_in_order = tokio::select! {
        _ = cut.wait_for(|cut| *cut) => false,
        outcome = forward(&mut client, &mut server, gate, turns) => {
            outcome.map_or_else(|error| error.kind() == TRUNCATED, |()| true)
        }
    };
    if !ended_in_order {
        // Closing without lingering sends RST instead of FIN.
        for stream in server.iter().chain([&client]) {
            let _ = stream.set_zero_linger();
        }
    }
}

async fn forward(
    client: &mut TcpStream,
    server: &mut Option<TcpStream>,
    mut gate: Gate,
    turns: &Conversation,
) -> io::Result<()> {
    // A stalled proxy does not even connect. The kernel has accepted the client already.
    let target = gate.flowing().await.target;
    let server = server.insert(TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await?);
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let outcome = try_join(
        pump(from_client, to_server, gate.clone(), Direction::ToServer, turns),
        pump(from_server, to_client, gate.clone(), Direction::ToClient, turns),
    )
    .await;
    // A stalled proxy holds back the end of one side, too.
    gate.flowing().await;
    outcome.map(|_| ())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    ToServer,
    ToClient,
}

/// Forwards one direction until its end has been forwarded, each chunk `delay` after its arrival.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut gate: Gate,
    direction: Direction,
    turns: &Conversation,
) -> io::Result<()> {
    // The queue separates arrival from sending, so that a delay does not slow down the receiver.
    let (queue, mut arrivals) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS);
    let receive = async move {
        let mut buffer = vec![0; CHUNK];
        loop {
            let length = from.read(&mut buffer).await?;
            if direction == Direction::ToServer && length > 0 {
                turns.asks();
            }
            let chunk = (Instant::now(), buffer[..length].to_vec());
            // An empty chunk is the end.
            if queue.send(chunk).await.is_err() || length == 0 {
                return Ok(());
            }
        }
    };
    let send = async move {
        while let Some((arrival, chunk)) = arrivals.recv().await {
            // Wait for the delay first. A stall in this time must still hold the chunk back.
            let delay = gate.state.borrow().delay;
            sleep_until(arrival + delay).await;
            let state = gate.flowing().await;
            if chunk.is_empty() {
                return to.shutdown().await;
            }
            if direction == Direction::ToClient {
                turns.answers();
                if state.truncates_answers {
                    to.write_all(chunk.get(..chunk.len() / 2).unwrap_or_default()).await?;
                    return Err(TRUNCATED.into());
                }
            }
            to.write_all(&chunk).await?;
        }
        Ok(())
    };
    try_join(receive, send).await.map(|_| ())
}
