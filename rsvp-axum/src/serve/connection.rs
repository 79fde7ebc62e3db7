//! One connection: served until its client, its time or the server ends it.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Request, Response};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use metrics::counter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::futures::OwnedNotified;
use tokio::time::{Instant, Sleep, sleep_until};
use tower::ServiceExt;

use super::accept::Listening;
use super::phase::{Answering, Overdue, Phase};

/// The largest request line with headers, in bytes; more is 431. A session token may have 8,192.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Connections that ended before their clients ended them.
pub(super) const ENDED: &str = "rsvp_http_connections_ended_total";

/// Serves a connection to its end.
pub(super) async fn serve(stream: TcpStream, listening: Arc<Listening>) {
    // 1. The socket and the requests tell the phase of the connection.
    let phase = Arc::new(Phase::new());
    let io = TokioIo::new(Socket { stream, phase: Arc::clone(&phase) });
    let service = service_fn(|request: Request<Incoming>| {
        let answering = phase.answer();
        let listening = Arc::clone(&listening);
        async move { Ok::<_, Infallible>(answer(request, &listening, answering).await) }
    });
    // Its own time-out for heads would bound the time between requests too.
    let mut http = http1::Builder::new();
    http.header_read_timeout(None).max_buf_size(MAX_HEAD_BYTES);
    let mut connection = std::pin::pin!(http.serve_connection(io, service));

    // 2. The connection first: what it does may change the phase that the watch looks at.
    let mut watch = Watch::new(&phase, &listening);
    let mut stopping = std::pin::pin!(listening.stop.cancelled());
    let mut is_stopping = false;
    let ended = poll_fn(|cx| {
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        if !is_stopping && stopping.as_mut().poll(cx).is_ready() {
            is_stopping = true;
            // Closes it now, or after the answer that is on its way.
            connection.as_mut().graceful_shutdown();
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
        }
        watch.poll(cx).map(Some)
    });

    // 3. How a connection ends otherwise is its client's affair.
    if let Some(reason) = ended.await {
        counter!(ENDED, "reason" => reason).increment(1);
    }
}

async fn answer(
    request: Request<Incoming>,
    listening: &Listening,
    answering: Answering,
) -> Response<Answer> {
    let answered = listening.router().oneshot(request.map(Body::new)).await;
    let mut response = answered.unwrap_or_else(|never| match never {});
    if listening.is_draining() {
        // The next request of this client goes to another instance.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response.map(|body| Answer { body, _answering: answering })
}

/// Waits until a connection has taken too long, or has to make room.
struct Watch<'a> {
    phase: &'a Phase,
    listening: &'a Listening,
    timer: Pin<Box<Sleep>>,
    /// The place in the queue of those that wait for their clients.
    queued: Option<Pin<Box<OwnedNotified>>>,
}

impl<'a> Watch<'a> {
    fn new(phase: &'a Phase, listening: &'a Listening) -> Self {
        Self { phase, listening, timer: Box::pin(sleep_until(Instant::now())), queued: None }
    }

    /// The reason, once there is one.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<&'static str> {
        // 1. Room for others. The queue is in the order in which the waits began.
        if self.phase.waits_for_client() {
            let room = &self.listening.room;
            let enqueue = || Box::pin(Arc::clone(room).notified_owned());
            if self.queued.get_or_insert_with(enqueue).as_mut().poll(cx).is_ready() {
                return Poll::Ready("evicted");
            }
        } else {
            self.queued = None;
        }

        // 2. Time.
        let Some((at, why)) = self.phase.due(&self.listening.config) else {
            return Poll::Pending;
        };
        if self.timer.deadline() != at {
            self.timer.as_mut().reset(at);
        }
        ready!(self.timer.as_mut().poll(cx));
        if why == Overdue::Unread {
            self.phase.abort();
        }
        Poll::Ready(why.as_str())
    }
}

/// The body of an answer, which tells the phase when it has been sent.
struct Answer {
    body: Body,
    _answering: Answering,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket that tells the phase what comes and what is not read.
struct Socket {
    stream: TcpStream,
    phase: Arc<Phase>,
}

impl Socket {
    /// Notes whether the client takes what is written.
    fn note<T>(&self, written: Poll<T>) -> Poll<T> {
        if written.is_pending() {
            self.phase.blocked();
        }
        written
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.phase.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Called when nothing is left to be written.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.phase.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.phase.is_aborted() {
            // Otherwise the kernel would keep what the client does not read. It only fails on a
            // connection that is gone.
            let _ = self.stream.set_zero_linger();
        }
    }
}
