//! Deadlines travel with the call.

use std::fmt::Debug;
use std::time::Duration;

use futures_util::TryStreamExt;
use rsvp_core::{
    Effect, Error, Label, LabelName, Operation, PageLimit, PageRequest, ReadOptions, Result, Rsvp,
    RsvpStore, RsvpStoreExt, Write, WriteOptions,
};

use crate::calls::{outcomes_of, refusal};
use crate::ids::{event, user};
use crate::model::Model;
use crate::suite::subject::Trial;

fn assert_too_late<A: Debug>(operation: Operation, answer: Result<A>) {
    let error = answer.expect_err("a call whose deadline has passed");
    assert!(matches!(error, Error::TimedOut { .. }), "{operation}: {error:?}");
    assert_eq!(error.effect(), Effect::NotApplied, "{operation}");
}

pub(crate) async fn a_call_whose_deadline_has_passed_is_not_begun(trial: &Trial) {
    let (store, ann, bob, fair) = (&trial.store, user("ann"), user("bob"), event("fair"));
    let mut model = Model::new();
    model.write(&Write::rsvp(ann.clone(), fair.clone()));
    model.write(&Write::cancel(bob.clone(), fair.clone()));
    outcomes_of(store, &[Write::rsvp(ann.clone(), fair.clone())]).await;

    // The writes would change the model, so a call that runs all the same shows below.
    let read = ReadOptions::strong().with_timeout(Duration::ZERO);
    let write = WriteOptions::default().with_timeout(Duration::ZERO);
    let (page, limit) = (PageRequest::new(read.clone()), PageLimit::MAX);
    let batch = [Write::cancel(ann.clone(), fair.clone()), Write::rsvp(bob.clone(), fair.clone())];
    let written = store.write_batch(&batch, &write).await.map(|receipt| receipt.results);
    assert_too_late(Operation::Write, refusal(written));
    let pair = Rsvp::new(ann.clone(), fair.clone());
    assert_too_late(Operation::HasRsvped, refusal(store.has_rsvped_batch(&[pair], &read).await));
    let counted = store.rsvp_count_batch(std::slice::from_ref(&fair), &read).await;
    assert_too_late(Operation::RsvpCount, refusal(counted));
    assert_too_late(Operation::Attendees, store.attendees_page(&fair, &page).await);
    assert_too_late(Operation::EventsOf, store.events_of_page(&ann, &page).await);
    assert_too_late(Operation::Scan, store.scan_page(&page).await);
    assert_too_late(Operation::RemoveEvent, store.remove_event_step(&fair, limit, &write).await);
    assert_too_late(Operation::RemoveUser, store.remove_user_step(&ann, limit, &write).await);
    let (name, value) = (LabelName::new("name").unwrap(), Label::new("value").unwrap());
    assert_too_late(Operation::Label, store.label(&name, &read).await);
    let replaced = store.replace_label(&name, None, &value, &write).await;
    assert_too_late(Operation::ReplaceLabel, replaced);

    model.assert_held_by(store).await;
    assert_eq!(store.label(&name, &ReadOptions::strong()).await.unwrap(), None);
}

pub(crate) async fn a_deadline_that_is_far_changes_nothing(trial: &Trial) {
    let (store, ann, fair) = (&trial.store, user("ann"), event("fair"));
    // An hour, and a time too long for any engine.
    for time in [Duration::from_secs(3600), Duration::MAX] {
        let (read, write) =
            (ReadOptions::strong().with_timeout(time), WriteOptions::default().with_timeout(time));
        let receipt = store.rsvp_with(&ann, &fair, write.clone()).await.unwrap();
        assert!(receipt.outcome.is_applied());
        assert!(store.has_rsvped_with(&ann, &fair, read.clone()).await.unwrap());
        assert_eq!(store.rsvp_count_with(&fair, read.clone()).await.unwrap().value, 1);
        // All pages, because the first one may be empty.
        let page = PageRequest::new(read.clone());
        let attendees = store.attendees_with(&fair, page.clone()).try_collect::<Vec<_>>();
        assert_eq!(attendees.await.unwrap(), std::slice::from_ref(&ann));
        let scanned = store.scan_with(page).try_collect::<Vec<_>>();
        assert_eq!(scanned.await.unwrap().len(), 1);
        assert_eq!(store.remove_event_with(&fair, write.clone()).await.unwrap().removed, 1);
        assert!(!store.cancel_with(&ann, &fair, write).await.unwrap().outcome.is_applied());
    }
}
