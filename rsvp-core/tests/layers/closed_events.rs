//! A layer that decides by the ids of a call, as `CONTRIBUTING.md` has it.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use rsvp_core::layers::{Call, Layer, LayerExt};
use rsvp_core::{
    Action, Effect, Error, EventId, Operation, ReadOptions, Result, RsvpStore, RsvpStoreExt, Write,
    WriteOptions,
};
use rsvp_memory::MemoryStore;

use crate::{event, user};

#[derive(Debug, thiserror::Error)]
#[error("the event is closed to writes")]
struct EventIsClosed;

/// Refuses every write to closed events, entry by entry. The removal of a user passes.
struct ClosedEvents(HashSet<EventId>);

impl Layer for ClosedEvents {
    async fn call<C: Call, S: RsvpStore>(&self, call: C, store: &S) -> Result<C::Answer> {
        let is_closed = |place: &usize| call.event(*place).is_some_and(|id| self.0.contains(id));
        let error = Error::refused(call.operation(), EventIsClosed);
        match call.operation() {
            Operation::RemoveEvent if is_closed(&0) => Err(error),
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

impl fmt::Debug for ClosedEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClosedEvents").field("events", &self.0.len()).finish()
    }
}

#[tokio::test]
async fn a_layer_can_decide_by_the_ids_of_a_call() {
    let closed = [event(1_u64), event(3_u64)];
    let store = MemoryStore::new().with_layer(ClosedEvents(closed.into_iter().collect()));
    let batch: Vec<Write> = (0..5_u64).map(|n| Write::rsvp(user(n), event(n))).collect();
    let receipt = store.write_batch(&batch, &WriteOptions::default()).await.unwrap();
    let refused: Vec<usize> = (0..5).filter(|place| receipt.results[*place].is_err()).collect();
    assert_eq!((receipt.results.len(), refused), (5, vec![1, 3]));
    let error = receipt.results[1].clone().unwrap_err();
    assert!(!error.is_retryable() && error.effect() == Effect::NotApplied, "{error:?}");
    assert_eq!(
        error.to_string(),
        "write failed: nothing was applied, and repeating it will not help"
    );
    let held = store
        .has_rsvped_batch(
            &batch.iter().map(|write| write.rsvp.clone()).collect::<Vec<_>>(),
            &ReadOptions::strong(),
        )
        .await
        .unwrap();
    let held: Vec<bool> = held.into_iter().map(Result::unwrap).collect();
    assert_eq!(held, [true, false, true, false, true]);
    // A batch of which nothing is left, and calls about one event.
    assert!(store.rsvp(&user(9_u64), &event(1_u64)).await.is_err());
    assert!(store.remove_event(&event(1_u64)).await.is_err());
    assert_eq!(store.remove_event(&event(0_u64)).await.unwrap().removed, 1);
    assert_eq!(store.rsvp_count(&event(1_u64)).await.unwrap().value, 0);
}

/// Counts the entries of each action, and the calls without one.
#[derive(Debug, Default)]
struct Actions([AtomicUsize; 3]);

impl Layer for Actions {
    async fn call<C: Call, S: RsvpStore>(&self, call: C, store: &S) -> Result<C::Answer> {
        for place in 0..call.entries() {
            let kind = match call.action(place) {
                Some(Action::Rsvp) => 0,
                Some(Action::Cancel) => 1,
                None => 2,
            };
            self.0[kind].fetch_add(1, Ordering::Relaxed);
        }
        assert_eq!(call.action(call.entries()), None, "behind the last entry");
        call.run(store).await
    }
}

#[tokio::test]
async fn a_layer_can_tell_an_rsvp_from_a_cancel() {
    let store = MemoryStore::new().with_layer(Actions::default());
    let pair = |n: u64| (user(n), event(n));
    let rsvps = (0..3).map(pair).map(|(user, event)| Write::rsvp(user, event));
    let cancels = (0..2).map(pair).map(|(user, event)| Write::cancel(user, event));
    let writes: Vec<Write> = rsvps.chain(cancels).collect();
    store.write_batch(&writes, &WriteOptions::default()).await.unwrap().outcomes().unwrap();
    store.has_rsvped(&user(2_u64), &event(2_u64)).await.unwrap();
    let seen = store.layer().0.each_ref().map(|count| count.load(Ordering::Relaxed));
    assert_eq!(seen, [3, 2, 1]);
}
