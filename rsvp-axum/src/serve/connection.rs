//! Serves a connection until its client, a time-out or the server ends it.

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
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio::time::{Instant, Sleep, sleep_until};
use tower::ServiceExt;

use super::accept::Listening;
use super::body::Timely;
use super::phase::{Answering, Overdue, Phase};

/// The maximum number of bytes of a request line with its headers. A larger head gets 431.
///
/// A session token can have 8,192 bytes.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// The counter of connections ended by the server.
pub(super) const ENDED: &str = "rsvp_http_connections_ended_total";

/// Serves a connection to its end.
pub(super) async fn serve(stream: TcpStream, listening: Arc<Listening>) {
    // 1. Set up HTTP. The socket and the requests report the phase of the connection.
    let phase = Arc::new(Phase::new(Arc::clone(&listening.unread)));
    let io = TokioIo::new(Socket { stream, phase: Arc::clone(&phase) });
    let service = service_fn(|request: Request<Incoming>| {
        let (phase, listening) = (Arc::clone(&phase), Arc::clone(&listening));
        async move { Ok::<_, Infallible>(answer(request, &listening, &phase).await) }
    });
    // The time-out of hyper for heads would also bound the time between requests.
    let mut http = http1::Builder::new();
    http.header_read_timeout(None).max_buf_size(MAX_HEAD_BYTES);
    let mut connection = std::pin::pin!(http.serve_connection(io, service));

    // 2. Run the connection and the watch.
    //    The connection is polled first, because it may change the phase before the watch reads it.
    let mut watch = Watch::new(&phase, &listening);
    let mut stopping = std::pin::pin!(listening.stop.cancelled());
    let mut is_stopping = false;
    let ended = poll_fn(|cx| {
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        if !is_stopping && stopping.as_mut().poll(cx).is_ready() {
            is_stopping = true;
            // It closes now, or after the answer in flight.
            connection.as_mut().graceful_shutdown();
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
        }
        watch.poll(cx).map(Some)
    });

    // 3. Count connections ended by the server. Any other end comes from the client.
    if let Some(reason) = ended.await {
        counter!(ENDED, "reason" => reason).increment(1);
    }
}

async fn answer(
    request: Request<Incoming>,
    listening: &Listening,
    phase: &Arc<Phase>,
) -> Response<Answer> {
    let answering = phase.answer();
    let timeout = listening.config.body_timeout;
    let request = request.map(|body| Body::new(Timely::new(body, timeout)));
    let answered = listening.router().oneshot(request).await;
    let mut response = answered.unwrap_or_else(|never| match never {});
    if listening.is_draining() {
        // This closes the connection, so the next request of the client goes to another instance.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    // A streamed answer has no exact size and is not counted. The routes have none.
    let size = response.body().size_hint().exact().unwrap_or_default();
    phase.answered(usize::try_from(size).unwrap_or(usize::MAX));
    response.map(|body| Answer { body, _answering: answering })
}

/// Waits until a connection has to end, because of a time-out or for another connection.
struct Watch<'a> {
    phase: &'a Phase,
    listening: &'a Listening,
    timer: Pin<Box<Sleep>>,
    /// The place among connections without a request.
    for_request: Place,
    /// The place among connections with a blocked client.
    for_reader: Place,
}

impl<'a> Watch<'a> {
    fn new(phase: &'a Phase, listening: &'a Listening) -> Self {
        let timer = Box::pin(sleep_until(Instant::now()));
        let (for_request, for_reader) = (Place::default(), Place::default());
        Self { phase, listening, timer, for_request, for_reader }
    }

    /// Returns the reason to end the connection.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<&'static str> {
        let Self { phase, listening, .. } = *self;

        // 1. Make room for other connections or other answers,
        //    if this connection has waited longest.
        let waits = phase.waits_for_request();
        if self.for_request.is_called(cx, &listening.room, waits, || listening.needs_room()) {
            return Poll::Ready("evicted");
        }
        let (unread, blocked) = (&listening.unread, phase.is_blocked());
        if self.for_reader.is_called(cx, &unread.full, blocked, || unread.is_full()) {
            phase.abort();
            return Poll::Ready("unread_memory");
        }

        // 2. Check the time-out of the phase. The timer is reset only if the phase has changed.
        let Some((at, why)) = phase.due(&listening.config) else { return Poll::Pending };
        if self.timer.deadline() != at {
            self.timer.as_mut().reset(at);
        }
        ready!(self.timer.as_mut().poll(cx));
        if why == Overdue::Unread {
            phase.abort();
        }
        Poll::Ready(why.as_str())
    }
}

/// A place in a queue of waiting connections, in the order of their waits.
/// The first one is called to make room.
#[derive(Default)]
struct Place(Option<Pin<Box<OwnedNotified>>>);

impl Place {
    /// Keeps the place while `waits`. Returns true after a call, if room is still needed.
    fn is_called(
        &mut self,
        cx: &mut Context<'_>,
        queue: &Arc<Notify>,
        waits: bool,
        is_full: impl Fn() -> bool,
    ) -> bool {
        if !waits {
            // Dropping the place passes an unheard call to the next connection.
            self.0 = None;
            return false;
        }
        loop {
            let enqueue = || Box::pin(Arc::clone(queue).notified_owned());
            if self.0.get_or_insert_with(enqueue).as_mut().poll(cx).is_pending() {
                return false;
            }
            // Room was made meanwhile. Queue again at the end.
            self.0 = None;
            if is_full() {
                return true;
            }
        }
    }
}

/// The body of an answer. Dropping it reports the end of the answer to the phase.
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

/// A socket that reports received bytes and blocked writes to the phase.
struct Socket {
    stream: TcpStream,
    phase: Arc<Phase>,
}

impl Socket {
    /// Reports a blocked write.
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

    /// Hyper calls this with nothing left to write.
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
            // Otherwise the kernel would keep the unread bytes.
            // It fails only if the connection is gone.
            let _ = self.stream.set_zero_linger();
        }
    }
}
