//! A store that shows its calls.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use rsvp::layers::{Call, Layer, LayerExt};
use rsvp::{Error, MemoryStore, Operation, Result, RsvpStore};
use tokio::time::sleep;

/// Shows the calls of a store, which take some time.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    delay: Duration,
    /// The errors of the next calls.
    errors: Mutex<Vec<Error>>,
    pub(crate) begun: AtomicUsize,
    pub(crate) finished: AtomicUsize,
    /// The operations and the times that they were given.
    pub(crate) seen: Mutex<Vec<(Operation, Option<Duration>)>>,
}

/// What a test has of the layer.
#[derive(Clone, Debug)]
struct Shared(Arc<Probe>);

impl Probe {
    pub(crate) fn slow(delay: Duration) -> (Arc<dyn RsvpStore>, Arc<Self>) {
        Self { delay, ..Self::default() }.around_memory()
    }

    /// A store whose first calls fail like this, the last one first.
    pub(crate) fn failing(errors: Vec<Error>) -> (Arc<dyn RsvpStore>, Arc<Self>) {
        Self { errors: Mutex::new(errors), ..Self::default() }.around_memory()
    }

    fn around_memory(self) -> (Arc<dyn RsvpStore>, Arc<Self>) {
        let probe = Arc::new(self);
        (Arc::new(MemoryStore::new().with_layer(Shared(probe.clone()))), probe)
    }
}

impl Layer for Shared {
    async fn call<C: Call, S: RsvpStore>(&self, call: C, store: &S) -> Result<C::Answer> {
        let left = call.deadline().map(|deadline| deadline.remaining());
        self.0.seen.lock().unwrap().push((call.operation(), left));
        self.0.begun.fetch_add(1, SeqCst);
        sleep(self.0.delay).await;
        let error = self.0.errors.lock().unwrap().pop();
        let answer = match error {
            Some(error) => Err(error),
            None => call.run(store).await,
        };
        self.0.finished.fetch_add(1, SeqCst);
        answer
    }
}
