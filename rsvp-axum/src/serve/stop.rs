//! When a server ends.

use std::fmt;
use std::io;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::signal::unix::{SignalKind, signal};

/// When a server ends: first in order, and at the second time at once.
pub struct Stop(BoxStream<'static, ()>);

impl Stop {
    /// At SIGTERM or Ctrl-C. The signals are taken from now on.
    ///
    /// # Errors
    ///
    /// If the process cannot take signals.
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

    /// At the first and the second item of a stream.
    #[must_use]
    pub fn on(stops: impl futures_util::Stream<Item = ()> + Send + 'static) -> Self {
        Self(stops.chain(stream::pending()).boxed())
    }

    /// Returns at the next time.
    pub(super) async fn next(&mut self) {
        self.0.next().await;
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop").finish_non_exhaustive()
    }
}
