//! A closed store takes no more calls, and finishes the earlier ones.

use std::fmt::Debug;
use std::pin::pin;

use futures_util::FutureExt;
use futures_util::future::{join, join_all};
use rsvp_core::{
    Effect, Error, Label, LabelName, Operation, PageLimit, PageRequest, ReadOptions, Result, Rsvp,
    RsvpStore, RsvpStoreExt, Write, WriteOptions,
};

use crate::calls::{outcomes_of, presence_of, refusal};
use crate::ids::{event, user};
use crate::suite::subject::Trial;

fn assert_closed<A: Debug>(operation: Operation, answer: Result<A>) {
    let error = answer.expect_err("a call of a closed store");
    assert!(matches!(error, Error::Closed { .. }), "{operation}: {error:?}");
    assert_eq!(error.operation(), Some(operation));
    assert_eq!(error.effect(), Effect::NotApplied);
    assert!(!error.is_retryable(), "it stays closed");
}

pub(crate) async fn a_closed_store_refuses_every_call(trial: &Trial) {
    let (store, ann, fair) = (&trial.store, user("ann"), event("fair"));
    store.rsvp(&ann, &fair).await.unwrap();
    store.close().await.unwrap();
    store.close().await.expect("closing twice is fine");

    // Even an eventual read must fail. A cache could still answer it.
    let (read, write, page) =
        (ReadOptions::eventual(), WriteOptions::default(), PageRequest::default());
    let (pair, limit) = (Rsvp::new(ann.clone(), fair.clone()), PageLimit::MAX);
    let cancel = [Write::cancel(ann.clone(), fair.clone())];
    let written = store.write_batch(&cancel, &write).await.map(|receipt| receipt.results);
    assert_closed(Operation::Write, refusal(written));
    assert_closed(Operation::HasRsvped, refusal(store.has_rsvped_batch(&[pair], &read).await));
    let counted = store.rsvp_count_batch(std::slice::from_ref(&fair), &read).await;
    assert_closed(Operation::RsvpCount, refusal(counted));
    assert_closed(Operation::Attendees, store.attendees_page(&fair, &page).await);
    assert_closed(Operation::EventsOf, store.events_of_page(&ann, &page).await);
    assert_closed(Operation::Scan, store.scan_page(&page).await);
    assert_closed(Operation::RemoveEvent, store.remove_event_step(&fair, limit, &write).await);
    assert_closed(Operation::RemoveUser, store.remove_user_step(&ann, limit, &write).await);
    let (name, value) = (LabelName::new("name").unwrap(), Label::new("value").unwrap());
    assert_closed(Operation::Label, store.label(&name, &read).await);
    let replaced = store.replace_label(&name, None, &value, &write).await;
    assert_closed(Operation::ReplaceLabel, replaced);
    assert_closed(Operation::Ready, store.ready().await);

    if let Some(other) = trial.other() {
        assert!(other.has_rsvped(&ann, &fair).await.unwrap(), "another store stays open");
        assert_eq!(other.label(&name, &ReadOptions::strong()).await.unwrap(), None);
    }
}

pub(crate) async fn calls_under_way_are_finished_when_a_store_closes(trial: &Trial) {
    let store = &trial.store;
    // The preparations of a store's first call are not the subject of this case.
    outcomes_of(store, &[Write::rsvp(user("first"), event(0))]).await;
    // No more than thirty, because `join_all` polls each of so few at once,
    // and more of them not always.
    let pairs: Vec<_> = (0..30_u32).map(|n| Rsvp::new(user(n), event(n % 3))).collect();
    let calls = pairs.iter().map(|pair| async {
        if pair.event == event(0) {
            return store.has_rsvped(&pair.user, &pair.event).await.map(|_| ());
        }
        store.rsvp(&pair.user, &pair.event).await.map(|_| ())
    });
    let mut calls = pin!(join_all(calls));
    // Every call has begun when the store is closed.
    let answers = match calls.as_mut().now_or_never() {
        Some(answers) => {
            store.close().await.unwrap();
            answers
        }
        // `None` means that some calls are still under way, so close now.
        None => {
            let (answers, closed) = join(calls, store.close()).await;
            closed.unwrap();
            answers
        }
    };
    for (pair, answer) in pairs.iter().zip(answers) {
        assert!(answer.is_ok(), "{pair:?}: {answer:?}");
    }
    if let Some(other) = trial.other() {
        let written = pairs.iter().filter(|pair| pair.event != event(0));
        let written: Vec<_> = written.cloned().collect();
        assert!(presence_of(other, &written).await.into_iter().all(|present| present));
    }
}
