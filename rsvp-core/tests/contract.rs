//! The traits work through references, boxes, `Arc<dyn …>` and generics, and every future is
//! `Send`. These are checked by compiling; the store behind them answers nothing.

use std::sync::Arc;

use rsvp_core::{
    BatchReceipt, Consistency, Count, Error, EventId, Operation, Page, PageLimit, PageRequest,
    RemovalStep, Result, Rsvp, RsvpStore, RsvpStoreExt, UserId, Write, async_trait,
};

/// Answers every batch with nothing, whatever its length.
#[derive(Debug)]
struct Silent;

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl RsvpStore for Silent {
    async fn write_batch(&self, _: &[Write]) -> Result<BatchReceipt> {
        Ok(BatchReceipt::default())
    }

    async fn has_rsvped_batch(&self, _: &[Rsvp], _: &Consistency) -> Result<Vec<bool>> {
        Ok(Vec::new())
    }

    async fn rsvp_counts(&self, _: &[EventId], _: &Consistency) -> Result<Vec<Count>> {
        Ok(Vec::new())
    }

    async fn attendees_page(&self, _: &EventId, _: &PageRequest) -> Result<Page<UserId>> {
        Ok(Page::last(Vec::new()))
    }

    async fn events_of_page(&self, _: &UserId, _: &PageRequest) -> Result<Page<EventId>> {
        Ok(Page::last(Vec::new()))
    }

    async fn scan_page(&self, _: &PageRequest) -> Result<Page<Rsvp>> {
        Ok(Page::last(Vec::new()))
    }

    async fn remove_event_step(&self, _: &EventId, _: PageLimit) -> Result<RemovalStep> {
        Ok(RemovalStep::default())
    }

    async fn remove_user_step(&self, _: &UserId, _: PageLimit) -> Result<RemovalStep> {
        Ok(RemovalStep::default())
    }

    async fn ready(&self) -> Result<()> {
        Err(Error::overloaded(Operation::Ready))
    }
}

fn spawnable<T: Send>(future: impl Future<Output = T> + Send) {
    drop(future);
}

fn every_call_is_spawnable<S: RsvpStore + ?Sized>(store: &S, user: &UserId, event: &EventId) {
    let strong = Consistency::Strong;
    spawnable(store.rsvp(user, event));
    spawnable(store.cancel(user, event));
    spawnable(store.has_rsvped(user, event));
    spawnable(store.has_rsvped_with(user, event, &strong));
    spawnable(store.rsvp_count(event));
    spawnable(store.rsvp_count_with(event, &strong));
    spawnable(store.remove_event(event));
    spawnable(store.remove_user(user));
    spawnable(async move {
        use futures_util::TryStreamExt;
        store.attendees(event).try_collect::<Vec<_>>().await?;
        store.events_of(user).try_collect::<Vec<_>>().await?;
        store.scan().try_collect::<Vec<_>>().await
    });
}

#[test]
fn a_store_works_through_every_pointer() {
    let (user, event) = (UserId::from(1), EventId::from(2));
    let shared: Arc<dyn RsvpStore> = Arc::new(Silent);
    let boxed: Box<dyn RsvpStore> = Box::new(Silent);
    let borrowed: &dyn RsvpStore = &Silent;
    every_call_is_spawnable(&Silent, &user, &event);
    every_call_is_spawnable(&shared, &user, &event);
    every_call_is_spawnable(&*shared, &user, &event);
    every_call_is_spawnable(&boxed, &user, &event);
    every_call_is_spawnable(borrowed, &user, &event);
    every_call_is_spawnable(&borrowed, &user, &event);
}

#[tokio::test]
async fn a_store_that_answers_too_little_is_an_error_and_no_panic() {
    let error = Silent.has_rsvped(&UserId::from(1), &EventId::from(2)).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { operation: Operation::HasRsvped, .. }));
}
