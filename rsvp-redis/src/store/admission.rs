//! Admission of calls. It bounds the number of concurrent calls, and waits for them on close.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rsvp_core::{Error, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::wire::call_deadline::Call;

/// A place among the concurrent calls.
pub(super) type Permit = OwnedSemaphorePermit;

/// Bounds the number of concurrent calls, and refuses all once it is closed.
#[derive(Debug)]
pub(super) struct Admission {
    in_flight: Arc<Semaphore>,
    places: u32,
    closed: AtomicBool,
}

impl Admission {
    pub(super) fn new(places: usize) -> Self {
        let places = u32::try_from(places).unwrap_or(u32::MAX);
        let in_flight = Arc::new(Semaphore::new(places as usize));
        Self { in_flight, places, closed: AtomicBool::new(false) }
    }

    /// Lets a call in, if it is in time and there is a place.
    pub(super) fn admit(&self, call: Call) -> Result<Permit> {
        let permit = Arc::clone(&self.in_flight).try_acquire_owned();
        // The order matters. With the place taken first, a concurrent `close` either waits for the
        // place or has set the flag before this check.
        if self.closed.load(Ordering::SeqCst) {
            return Err(Error::closed(call.operation));
        }
        call.check()?;
        permit.map_err(|_| Error::overloaded(call.operation))
    }

    /// Refuses calls from now on, and waits for the running ones.
    pub(super) async fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        // An error would mean that the semaphore is closed, which nobody does.
        let _all = self.in_flight.acquire_many(self.places).await;
    }
}
