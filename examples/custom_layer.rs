//! A layer of your own: an event that is closed takes no more writes.
//!
//! ```text
//! cargo run --example custom_layer
//! ```
#![expect(clippy::print_stdout, reason = "printing is what this program is for")]

use std::collections::HashSet;
use std::fmt;

use rsvp::layers::{Call, Layer, LayerExt};
use rsvp::{
    Error, EventId, MemoryStore, Operation, Result, RsvpStore, RsvpStoreExt, UserId, Write,
    WriteOptions,
};

/// Why a write is refused. A host finds it as the source of the error.
#[derive(Debug)]
struct EventIsClosed;

impl fmt::Display for EventIsClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the event is closed to writes")
    }
}

impl std::error::Error for EventIsClosed {}

/// Refuses writes to closed events, entry by entry. Reads and the removal of a user pass.
struct ClosedEvents(HashSet<EventId>);

/// Logs show no ids.
impl fmt::Debug for ClosedEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClosedEvents").field("events", &self.0.len()).finish()
    }
}

impl Layer for ClosedEvents {
    async fn call<C: Call, S: RsvpStore>(&self, call: C, store: &S) -> Result<C::Answer> {
        let is_closed = |place: &usize| call.event(*place).is_some_and(|id| self.0.contains(id));
        let error = Error::refused(call.operation(), EventIsClosed);
        match call.operation() {
            Operation::RemoveEvent if is_closed(&0) => Err(error),
            // The open entries of the batch run, and the others get the error.
            Operation::Write if (0..call.entries()).any(|place| is_closed(&place)) => {
                let open: Vec<usize> =
                    (0..call.entries()).filter(|place| !is_closed(place)).collect();
                let answer = call.part(&open).run(store).await?;
                Ok(C::widen(answer, &open, call.entries(), &error))
            }
            _ => call.run(store).await,
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let closed = ClosedEvents(HashSet::from([EventId::new("sold-out")?]));
    let store = MemoryStore::new().with_layer(closed);

    let ada = UserId::new("ada")?;
    let writes = ["101a", "sold-out"]
        .into_iter()
        .map(|event| Ok(Write::rsvp(ada.clone(), EventId::new(event)?)))
        .collect::<Result<Vec<_>>>()?;
    let receipt = store.write_batch(&writes, &WriteOptions::default()).await?;
    for (write, result) in writes.iter().zip(receipt.results) {
        match result {
            Ok(written) => println!("{}: {:?}", write.rsvp.event, written.outcome),
            Err(error) => println!("{}: {error}", write.rsvp.event),
        }
    }
    println!(
        "rsvp_count(sold-out) = {}",
        store.rsvp_count(&EventId::new("sold-out")?).await?.value
    );
    store.close().await
}
