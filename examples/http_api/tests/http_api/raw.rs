//! Bytes on a socket, where an HTTP client would be too polite.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than any deadline of the service.
const LIMIT: Duration = Duration::from_secs(20);

pub(crate) async fn connect(address: &str, bytes: impl AsRef<[u8]>) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    send(&mut stream, bytes).await;
    stream
}

/// The service may refuse a request, and close, before it has come in full.
pub(crate) async fn send(stream: &mut TcpStream, bytes: impl AsRef<[u8]>) {
    let _ = stream.write_all(bytes.as_ref()).await;
}

/// All that comes until the service closes the connection.
pub(crate) async fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    // After a reset what came before it counts.
    let _ = timeout(LIMIT, stream.read_to_end(&mut bytes)).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

/// One answer on a connection that stays open; its body must be JSON.
pub(crate) async fn answer(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"}") {
        let more = timeout(LIMIT, stream.read_buf(&mut bytes)).await.unwrap().unwrap();
        assert_ne!(more, 0, "closed after {:?}", String::from_utf8_lossy(&bytes));
    }
    String::from_utf8(bytes).unwrap()
}

pub(crate) async fn exchange(address: &str, bytes: impl AsRef<[u8]>) -> String {
    rest(connect(address, bytes).await).await
}
