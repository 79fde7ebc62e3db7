//! The signals to end a server.

use std::fmt;
use std::io;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::signal::unix::{SignalKind, signal};

/// The signals to end a server. The first one begins the drain, and the second one ends it at once.
///
/// ```
/// use futures_util::stream;
/// use rsvp_axum::Stop;
/// use tokio::sync::oneshot;
///
/// // A test ends its server without a signal to the whole process.
/// let (end, ended) = oneshot::channel::<()>();
/// let stop = Stop::on(stream::once(async move {
///     let _ = ended.await;
/// }));
/// ```
pub struct Stop(BoxStream<'static, ()>);

impl Stop {
    /// Stops at SIGTERM or Ctrl-C. From now on these signals no longer end the process by
    /// themselves.
    ///
    /// # Errors
    ///
    /// If the process cannot register for the signals.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let stop = rsvp_axum::Stop::on_signals()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_signals() -> io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let signals = stream::unfold((terminate, interrupt), async |mut signals| {
            tokio::select! {
                _ = signals.0.recv() => {}
                _ = signals.1.recv() => {}
            }
            Some(((), signals))
        });
        Ok(Self(signals.boxed()))
    }

    /// Stops at the first and the second item of a stream. The end of the stream is not a signal.
    #[must_use]
    pub fn on(stops: impl futures_util::Stream<Item = ()> + Send + 'static) -> Self {
        // After its end, a stream would return at once each time.
        Self(stops.chain(stream::pending()).boxed())
    }

    /// Waits for the next signal.
    pub(super) async fn next(&mut self) {
        self.0.next().await;
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop").finish_non_exhaustive()
    }
}
