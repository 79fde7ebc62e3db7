//! The things that a load is put on.

mod http;
mod store;

use std::fmt::Debug;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use rsvp::{Effect, EventId, Outcome, Rsvp, UserId, Write};

pub use self::http::HttpTarget;
pub use self::store::StoreTarget;

/// The number of entries of a page.
pub const PAGE: u16 = 100;

/// How many calls are made at once before and after the run.
const AT_ONCE: usize = 64;

/// The answer of a call.
pub type Answer<T> = Result<T, Failed>;

/// A call that has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The kind, as it stands in the summary.
    pub kind: String,
    /// The first message of its kind is shown.
    pub message: String,
    /// Whether a write took effect.
    pub effect: Effect,
}

impl Failed {
    /// A failure whose effect is unknown.
    pub fn new(kind: &str, message: impl ToString) -> Self {
        Self { kind: kind.to_owned(), message: message.to_string(), effect: Effect::Unknown }
    }
}

impl From<rsvp::Error> for Failed {
    fn from(error: rsvp::Error) -> Self {
        let (kind, effect) = (error.kind().to_owned(), error.effect());
        Self { kind, message: error.to_string(), effect }
    }
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl std::error::Error for Failed {}

/// A store, a service, or code by hand.
#[async_trait]
pub trait Target: Debug + Send + Sync {
    /// Makes a write.
    async fn write(&self, write: &Write) -> Answer<Outcome>;

    /// Whether the pair exists. It sees every acknowledged write.
    async fn has_rsvped(&self, pair: &Rsvp) -> Answer<bool>;

    /// How many RSVPs the event has, at most five seconds ago.
    async fn rsvp_count(&self, event: &EventId) -> Answer<u64>;

    /// The first page of the event's attendees, of at most [`PAGE`]; how many are on it.
    async fn attendees(&self, event: &EventId) -> Answer<usize>;

    /// The first page of the user's events, likewise.
    async fn events_of(&self, user: &UserId) -> Answer<usize>;

    /// Adds pairs before the run.
    async fn fill(&self, pairs: &[Rsvp]) -> Answer<()> {
        let writes = pairs.iter().map(|Rsvp { user, event }| async {
            self.write(&Write::rsvp(user.clone(), event.clone())).await.map(drop)
        });
        // Collected, since the compiler cannot see that a stream of borrowing futures is `Send`.
        let writes: Vec<_> = writes.collect();
        stream::iter(writes).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Removes the events and the users of a run after it. A target that cannot do so leaves them.
    async fn clear(&self, events: &[EventId], users: &[UserId]) -> Answer<()>;

    /// Ends after all runs, without a trace.
    async fn close(&self) -> Answer<()> {
        Ok(())
    }
}
