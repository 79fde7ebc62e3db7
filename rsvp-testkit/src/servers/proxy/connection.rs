//! One connection through the proxy.

use std::io;
use std::net::Ipv4Addr;

use futures_util::future::try_join;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::state::{Flow, State, wait_for};

/// Bytes read at once, and how many such chunks may wait in each direction.
const CHUNK: usize = 16 * 1024;
const CHUNKS: usize = 64;

/// Forwards between `client` and the target until both directions end, one fails, or it is cut.
///
/// The connection counts as open until `cut` is dropped, so that goes last.
pub(super) async fn serve(
    mut cut: watch::Receiver<bool>,
    state: watch::Receiver<State>,
    client: TcpStream,
) {
    relay(&mut cut, state, client).await;
}

async fn relay(
    cut: &mut watch::Receiver<bool>,
    state: watch::Receiver<State>,
    mut client: TcpStream,
) {
    let mut server = None;
    let ended_in_order = tokio::select! {
        _ = cut.wait_for(|cut| *cut) => false,
        outcome = forward(&mut client, &mut server, state) => outcome.is_ok(),
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
    mut state: watch::Receiver<State>,
) -> io::Result<()> {
    let target = flowing(&mut state).await.target;
    let server = server.insert(TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await?);
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let outcome = try_join(
        pump(from_client, to_server, state.clone()),
        pump(from_server, to_client, state.clone()),
    )
    .await;
    // The end of one side does not reach the other through a stalled proxy either.
    flowing(&mut state).await;
    outcome.map(|_| ())
}

/// Forwards one direction, each chunk `delay` after it arrived, until its end has been forwarded.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut state: watch::Receiver<State>,
) -> io::Result<()> {
    let (queue, mut arrivals) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS);
    let receive = async move {
        let mut buffer = vec![0; CHUNK];
        loop {
            let length = from.read(&mut buffer).await?;
            let chunk = (Instant::now(), buffer[..length].to_vec());
            // An empty chunk is the end.
            if queue.send(chunk).await.is_err() || length == 0 {
                return Ok(());
            }
        }
    };
    let send = async move {
        while let Some((arrival, chunk)) = arrivals.recv().await {
            let delay = state.borrow().delay;
            sleep_until(arrival + delay).await;
            flowing(&mut state).await;
            if chunk.is_empty() {
                return to.shutdown().await;
            }
            to.write_all(&chunk).await?;
        }
        Ok(())
    };
    try_join(receive, send).await.map(|_| ())
}

async fn flowing(state: &mut watch::Receiver<State>) -> State {
    wait_for(state, |state| state.flow == Flow::Forward).await
}
