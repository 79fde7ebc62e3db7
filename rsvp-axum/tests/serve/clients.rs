//! A server in this process, and bytes on its sockets.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::{get, post};
use futures_util::{StreamExt, stream};
use rsvp::MemoryStore;
use rsvp_axum::{Api, App, Config, ServeError, Server, ServerConfig, Stop};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::sleep;

pub(crate) const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";

/// A running server.
pub(crate) struct Running {
    pub(crate) address: String,
    stop: mpsc::UnboundedSender<()>,
    pub(crate) ended: JoinHandle<Result<(), ServeError>>,
}

impl Running {
    pub(crate) async fn start(config: ServerConfig) -> Self {
        Self::opening(config, async { Ok(app()) }).await
    }

    pub(crate) async fn opening(
        config: ServerConfig,
        opening: impl Future<Output = rsvp::Result<App>> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (stop, mut stopped) = mpsc::unbounded_channel();
        let stops = Stop::on(stream::poll_fn(move |cx| stopped.poll_recv(cx)));
        let ended = tokio::spawn(Server::new(listener, config).run(opening, stops));
        Self { address, stop, ended }
    }

    pub(crate) fn stop(&self) {
        self.stop.send(()).unwrap();
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).await.unwrap()
    }
}

/// The routes of a store, and some that take their time.
pub(crate) fn app() -> App {
    let api = Api::new(Arc::new(MemoryStore::new()), Config::default());
    let slow = async || {
        sleep(Duration::from_secs(20)).await;
        "slow"
    };
    let echo = async |text: String| text;
    let large = async || Body::from(vec![b'a'; 64 << 20]);
    let long = async || {
        let ticks = stream::iter(0..100).then(async |_| {
            sleep(Duration::from_secs(10)).await;
            Ok::<_, std::io::Error>(Bytes::from_static(b"tick"))
        });
        Body::from_stream(ticks)
    };
    let router = Router::new()
        .route("/slow", get(slow))
        .route("/large", get(large))
        .route("/echo", post(echo))
        .route("/long", get(long))
        .merge(api.router());
    App::new(api).with_router(router)
}

pub(crate) fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")
}

pub(crate) async fn send(stream: &mut TcpStream, bytes: impl AsRef<[u8]>) {
    stream.write_all(bytes.as_ref()).await.unwrap();
}

/// The beginning of an answer with all of its head, or `None` if the server has closed the connection.
pub(crate) async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some(String::from_utf8(bytes).unwrap())
}

/// All that comes until the server closes the connection.
pub(crate) async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // After a reset what came before it counts.
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8(bytes).unwrap()
}
