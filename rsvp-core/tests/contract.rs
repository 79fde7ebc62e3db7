//! The traits work through references, boxes, `Arc<dyn …>` and generics, and every future is
//! `Send`. These are checked by compiling; the store behind them answers batches with nothing.

use std::sync::Arc;
use std::time::Duration;

use rsvp_core::{
    BatchReceipt, Consistency, Count, Deadline, Error, EventId, Label, LabelName, Operation,
    Outcome, ReadOptions, Result, Rsvp, RsvpStore, RsvpStoreExt, SessionToken, UserId, Write,
    WriteOptions, Written, async_trait,
};
use rsvp_memory::MemoryStore;
use rsvp_testkit::{Stub, Stubbed};

/// Answers every batch with nothing, whatever its length.
#[derive(Debug, Default)]
struct Silence(MemoryStore);

#[async_trait]
impl Stub for Silence {
    fn inner(&self) -> &dyn RsvpStore {
        &self.0
    }

    async fn write_batch(&self, _: &[Write], _: &WriteOptions) -> Result<BatchReceipt> {
        Ok(BatchReceipt::default())
    }

    async fn has_rsvped_batch(&self, _: &[Rsvp], _: &ReadOptions) -> Result<Vec<Result<bool>>> {
        Ok(Vec::new())
    }

    async fn rsvp_count_batch(&self, _: &[EventId], _: &ReadOptions) -> Result<Vec<Result<Count>>> {
        Ok(Vec::new())
    }
}

fn silent() -> Stubbed<Silence> {
    Stubbed(Silence::default())
}

fn spawnable<T: Send>(future: impl Future<Output = T> + Send) {
    drop(future);
}

fn every_call_is_spawnable<S: RsvpStore + ?Sized>(store: &S, user: &UserId, event: &EventId) {
    let (strong, write) = (ReadOptions::strong(), WriteOptions::default());
    spawnable(store.rsvp(user, event));
    spawnable(store.rsvp_with(user, event, write.clone()));
    spawnable(store.cancel(user, event));
    spawnable(store.cancel_with(user, event, write.clone()));
    spawnable(store.has_rsvped(user, event));
    spawnable(store.has_rsvped_with(user, event, strong));
    spawnable(store.rsvp_count(event));
    spawnable(store.rsvp_count_with(event, Consistency::Strong));
    spawnable(store.remove_event(event));
    spawnable(store.remove_event_with(event, write.clone()));
    spawnable(store.remove_user(user));
    spawnable(store.remove_user_with(user, write));
    spawnable(store.close());
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
    let shared: Arc<dyn RsvpStore> = Arc::new(silent());
    let boxed: Box<dyn RsvpStore> = Box::new(silent());
    let borrowed: &dyn RsvpStore = &silent();
    every_call_is_spawnable(&silent(), &user, &event);
    every_call_is_spawnable(&shared, &user, &event);
    every_call_is_spawnable(&*shared, &user, &event);
    every_call_is_spawnable(&boxed, &user, &event);
    every_call_is_spawnable(borrowed, &user, &event);
    every_call_is_spawnable(&borrowed, &user, &event);
}

#[tokio::test]
async fn a_store_that_answers_too_little_is_an_error_and_no_panic() {
    let (user, event) = (UserId::from(1), EventId::from(2));
    let store = silent();
    for (error, operation) in [
        (store.rsvp(&user, &event).await.unwrap_err(), Operation::Write),
        (store.has_rsvped(&user, &event).await.unwrap_err(), Operation::HasRsvped),
        (store.rsvp_count(&event).await.unwrap_err(), Operation::RsvpCount),
    ] {
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
        assert_eq!(error.operation(), Some(operation));
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_lowered_and_never_raised() {
    let (soon, later) = ([1, 9].map(Duration::from_secs)).map(Deadline::after).into();
    for (first, second) in [(soon, later), (later, soon)] {
        let write = WriteOptions::default().with_deadline(first).with_deadline(second);
        let read = ReadOptions::eventual().with_deadline(first).with_deadline(second);
        assert_eq!((write.deadline, read.deadline), (Some(soon), Some(soon)));
    }
    assert_eq!(WriteOptions::default().with_timeout(Duration::from_secs(1)).deadline, Some(soon));
    assert_eq!(Deadline::earliest(None, Some(later)), Some(later));
    assert!(!Deadline::after(Duration::MAX).has_passed());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(soon.has_passed() && soon.remaining().is_zero() && !later.has_passed());
}

#[test]
fn labels_and_their_names_are_checked() {
    for name in ["", "a b", "é", &"x".repeat(65)] {
        let error = LabelName::new(name).unwrap_err();
        assert!(matches!(error, Error::InvalidInput { field: "label", .. }), "{error}");
    }
    for value in [String::new(), "a\nb".to_owned(), "x".repeat(Label::MAX_BYTES + 1)] {
        let error = Label::new(value).unwrap_err();
        assert!(matches!(error, Error::InvalidInput { field: "label", .. }), "{error}");
    }
    assert_eq!(LabelName::new("shard.eu-1_a").unwrap().as_str(), "shard.eu-1_a");
    let longest = "é".repeat(Label::MAX_BYTES / 2);
    assert_eq!(longest.parse::<Label>().unwrap().to_string(), longest);
}

#[test]
fn the_outcomes_of_a_batch_are_all_or_the_first_error() {
    let (applied, unchanged) = (Outcome::Applied, Outcome::Unchanged);
    let receipt = BatchReceipt::acknowledged([applied, unchanged], SessionToken::new());
    assert_eq!(receipt.outcomes().unwrap(), [applied, unchanged]);
    let results = vec![
        Ok(Written::new(applied)),
        Err(Error::overloaded(Operation::Write)),
        Err(Error::corrupt(Operation::Write, "a hole")),
    ];
    let error = BatchReceipt::new(results, SessionToken::new()).outcomes().unwrap_err();
    assert!(matches!(error, Error::Overloaded { .. }), "{error}");
}
