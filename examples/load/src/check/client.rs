//! One connection to the service.

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HOST;
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// The reason why a run has no answer to compare.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A connection to the service.
#[derive(Debug)]
pub struct Client {
    address: String,
    sender: SendRequest<Empty<Bytes>>,
}

/// The service's answer to a request.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The body, null if it is not JSON.
    pub json: Value,
}

impl Client {
    /// Connects to `address`, a host and a port.
    ///
    /// # Errors
    ///
    /// If no service listens there.
    pub async fn connect(address: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // How it ends shows in the request that it ends.
        tokio::spawn(connection);
        Ok(Self { address: address.to_owned(), sender })
    }

    /// Whether the service has closed the connection.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends a request without a body, and waits for the answer.
    ///
    /// # Errors
    ///
    /// If the request is malformed or the connection ends before the answer.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &[u8])],
    ) -> Result<Answer, Failure> {
        let mut request = Request::builder().method(method).uri(path).header(HOST, &self.address);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.sender.ready().await?;
        let response = self.sender.send_request(request.body(Empty::new())?).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        let json = serde_json::from_slice(&body).unwrap_or_default();
        Ok(Answer { status: parts.status, headers: parts.headers, json })
    }
}
