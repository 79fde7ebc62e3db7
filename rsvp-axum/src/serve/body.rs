//! Request bodies with a deadline.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

/// The body did not arrive in time.
#[derive(Debug, thiserror::Error)]
#[error("the body did not arrive within {0:?}")]
pub(super) struct Late(Duration);

/// A body with a deadline. It fails if it has not ended by then.
///
/// So a slow client cannot hold up the reader of its body for longer.
#[derive(Debug)]
pub(super) struct Timely {
    body: Incoming,
    timeout: Duration,
    until: Instant,
    /// Created at the first wait for the body. Most bodies arrive with their heads and never wait.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Timely {
    /// Starts the time of a body.
    pub(super) fn new(body: Incoming, timeout: Duration) -> Self {
        Self { body, timeout, until: Instant::now() + timeout, timer: None }
    }
}

impl Body for Timely {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        // The timer is polled only while no part of the body is ready,
        // so a body in time never fails.
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(this.until)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Some(Err(Late(this.timeout).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
