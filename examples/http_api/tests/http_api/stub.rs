//! A store that fails, or takes its time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rsvp::layers::{Call, Layer, Layered};
use rsvp::{Effect, Error, MemoryStore, Result, RsvpStore};
use tokio::time::sleep;

pub(crate) type Stub = Layered<Fate, MemoryStore>;

/// The fate of every call.
#[derive(Debug, Default)]
pub(crate) struct Fate {
    delay: Duration,
    error: Option<Error>,
    /// Whether the answer to the next write is lost.
    loses: AtomicBool,
}

pub(crate) fn failing(error: Error) -> Stub {
    stub(Fate { error: Some(error), ..Fate::default() })
}

pub(crate) fn slow(delay: Duration) -> Stub {
    stub(Fate { delay, ..Fate::default() })
}

pub(crate) fn losing_an_answer() -> Stub {
    stub(Fate { loses: true.into(), ..Fate::default() })
}

fn stub(fate: Fate) -> Stub {
    Layered::around(MemoryStore::new(), fate)
}

impl Layer for Fate {
    async fn call<C: Call, S: RsvpStore>(&self, call: C, store: &S) -> Result<C::Answer> {
        sleep(self.delay).await;
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        let (operation, answer) = (call.operation(), call.run(store).await);
        if operation.is_write() && self.loses.swap(false, Ordering::SeqCst) {
            return Err(Error::unavailable(operation, Effect::Unknown, None));
        }
        answer
    }
}
