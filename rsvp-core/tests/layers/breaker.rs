//! Leaves a store alone for a second after it was unavailable: a layer of a third party, written
//! from the documentation of `Layer` alone.

use std::sync::Mutex;
use std::time::Duration;

use rsvp_core::layers::{Call, Layer};
use rsvp_core::{Effect, Error, Result, RsvpStore};
use tokio::time::Instant;

#[derive(Debug, Default)]
pub(crate) struct Breaker {
    closed_from: Mutex<Option<Instant>>,
}

impl Layer for Breaker {
    async fn call<C: Call, S: RsvpStore>(&self, call: C, store: &S) -> Result<C::Answer> {
        let closed_from = *self.closed_from.lock().unwrap();
        if closed_from.is_some_and(|moment| Instant::now() < moment) {
            return Err(Error::unavailable(call.operation(), Effect::NotApplied, None));
        }
        let answer = call.run(store).await;
        if matches!(answer, Err(Error::Unavailable { .. })) {
            let moment = Instant::now() + Duration::from_secs(1);
            *self.closed_from.lock().unwrap() = Some(moment);
        }
        answer
    }
}
