//! A layer of a third party: hedged reads.

use std::time::Duration;

use rsvp::layers::{Call, Layer};
use rsvp::{Result, RsvpStore};
use tokio::time::sleep;

/// Asks a second time for a read that takes long, and returns the answer that comes first (Dean and
/// Barroso, "The Tail at Scale", 2013).
///
/// Everything is preserved: a read has no effect, and both answers are as fresh as asked. A store
/// that is slow for all callers gets up to twice as many reads.
#[derive(Clone, Copy, Debug)]
pub struct Hedge {
    /// How long to wait before the second attempt.
    pub after: Duration,
}

impl Hedge {
    /// The wait of a URL that gives none.
    pub const DEFAULT: Duration = Duration::from_millis(50);
}

impl Layer for Hedge {
    async fn call<C: Call, S: RsvpStore>(&self, call: C, store: &S) -> Result<C::Answer> {
        if call.operation().is_write() {
            return call.run(store).await;
        }
        let second = async {
            sleep(self.after).await;
            call.run(store).await
        };
        tokio::select! {
            answer = call.run(store) => answer,
            answer = second => answer,
        }
    }
}
