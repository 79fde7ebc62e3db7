//! A layer of your own: writes to closed events are refused.
//!
//! ```text
//! cargo run --example custom_layer
//! ```
#![expect(clippy::print_stdout, reason = "printing is what this program is for")]

use std::collections::HashSet;

use rsvp::layers::{Call, Layer, LayerExt};
use rsvp::{
    Error, EventId, MemoryStore, Operation, Result, RsvpStore, RsvpStoreExt, UserId, Write,
    WriteOptions,
};

#[derive(Debug, thiserror::Error)]
#[error("the event is closed to writes")]
struct EventIsClosed;

/// Refuses RSVPs and cancels of closed events. Other entries of a batch go on.
#[derive(Debug)]
struct ClosedEvents(HashSet<EventId>);

impl Layer for ClosedEvents {
    async fn call<C: Call, S: RsvpStore>(&self, call: C, store: &S) -> Result<C::Answer> {
        // 1. Calls that are none of its business pass.
        let is_closed = |place: &usize| call.event(*place).is_some_and(|id| self.0.contains(id));
        if call.operation() != Operation::Write || !(0..call.entries()).any(|n| is_closed(&n)) {
            return call.run(store).await;
        }
        // 2. The entries of open events are written.
        let open: Vec<usize> = (0..call.entries()).filter(|place| !is_closed(place)).collect();
        let answer = call.part(&open).run(store).await?;
        // 3. The others get an error, each in its place.
        let error = Error::refused(call.operation(), EventIsClosed);
        Ok(C::widen(answer, &open, call.entries(), &error))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let (open, closed) = (EventId::new("open")?, EventId::new("closed")?);
    let store = MemoryStore::new().with_layer(ClosedEvents([closed.clone()].into()));
    let user = UserId::from(1);
    let batch = [Write::rsvp(user.clone(), open), Write::rsvp(user.clone(), closed.clone())];
    let receipt = store.write_batch(&batch, &WriteOptions::default()).await?;
    for (write, result) in batch.iter().zip(receipt.results) {
        match result {
            Ok(written) => println!("{}: {:?}", write.rsvp.event, written.outcome),
            Err(error) => println!("{}: {error}", write.rsvp.event),
        }
    }
    println!("in the closed event: {}", store.has_rsvped(&user, &closed).await?);
    Ok(())
}
