//! Writes are idempotent, and report their change.

use rsvp_core::{Consistency, Effect, Outcome, RsvpStore, RsvpStoreExt, Write};

use crate::calls::outcomes_of;
use crate::ids::{event, user};
use crate::model::Model;
use crate::suite::subject::Trial;

/// Returns the exact number of RSVPs of the fair.
async fn strong_count(trial: &Trial) -> u64 {
    trial.store.rsvp_count_with(&event("fair"), Consistency::Strong).await.unwrap().value
}

pub(crate) async fn a_new_store_is_empty(trial: &Trial) {
    let (ann, fair) = (user("ann"), event("fair"));
    assert!(!trial.store.has_rsvped(&ann, &fair).await.unwrap());
    assert_eq!(strong_count(trial).await, 0);
    // The model looks only for pairs that it knows.
    let mut model = Model::new();
    model.write(&Write::cancel(ann, fair));
    model.assert_held_by(&trial.store).await;
}

pub(crate) async fn rsvp_of_an_absent_pair_is_applied(trial: &Trial) {
    let (ann, fair) = (user("ann"), event("fair"));
    assert_eq!(trial.store.rsvp(&ann, &fair).await.unwrap().outcome, Outcome::Applied);
    let mut model = Model::new();
    model.write(&Write::rsvp(ann, fair));
    model.assert_held_by(&trial.store).await;
}

pub(crate) async fn rsvp_of_a_present_pair_is_unchanged(trial: &Trial) {
    let (ann, fair) = (user("ann"), event("fair"));
    trial.store.rsvp(&ann, &fair).await.unwrap();
    for _ in 0..3 {
        assert_eq!(trial.store.rsvp(&ann, &fair).await.unwrap().outcome, Outcome::Unchanged);
    }
    let mut model = Model::new();
    model.write(&Write::rsvp(ann, fair));
    model.assert_held_by(&trial.store).await;
}

pub(crate) async fn cancel_of_a_present_rsvp_is_applied(trial: &Trial) {
    let (ann, fair) = (user("ann"), event("fair"));
    trial.store.rsvp(&ann, &fair).await.unwrap();
    assert_eq!(trial.store.cancel(&ann, &fair).await.unwrap().outcome, Outcome::Applied);
    let mut model = Model::new();
    model.write(&Write::cancel(ann, fair));
    model.assert_held_by(&trial.store).await;
}

pub(crate) async fn cancel_of_an_absent_rsvp_is_unchanged(trial: &Trial) {
    let (ann, bob, fair) = (user("ann"), user("bob"), event("fair"));
    assert_eq!(trial.store.cancel(&ann, &fair).await.unwrap().outcome, Outcome::Unchanged);
    trial.store.rsvp(&bob, &fair).await.unwrap();
    assert_eq!(trial.store.cancel(&ann, &fair).await.unwrap().outcome, Outcome::Unchanged);
    let mut model = Model::new();
    model.write(&Write::cancel(ann, fair.clone()));
    model.write(&Write::rsvp(bob, fair));
    model.assert_held_by(&trial.store).await;
}

pub(crate) async fn a_cancelled_rsvp_can_be_made_again(trial: &Trial) {
    let (ann, fair) = (user("ann"), event("fair"));
    for _ in 0..3 {
        assert_eq!(trial.store.rsvp(&ann, &fair).await.unwrap().outcome, Outcome::Applied);
        assert_eq!(strong_count(trial).await, 1);
        assert_eq!(trial.store.cancel(&ann, &fair).await.unwrap().outcome, Outcome::Applied);
        assert_eq!(strong_count(trial).await, 0);
    }
}

pub(crate) async fn a_write_touches_only_its_pair(trial: &Trial) {
    let mut model = Model::new();
    for (who, what) in [("ann", "fair"), ("ann", "gala"), ("bob", "fair"), ("bob", "gala")] {
        let write = Write::rsvp(user(who), event(what));
        model.write(&write);
        outcomes_of(&trial.store, &[write]).await;
    }
    let cancel = Write::cancel(user("ann"), event("fair"));
    model.write(&cancel);
    outcomes_of(&trial.store, &[cancel]).await;
    model.assert_held_by(&trial.store).await;
}

pub(crate) async fn the_count_moves_by_the_applied_outcomes(trial: &Trial) {
    let fair = event("fair");
    let mut count = 0_i64;
    // Each user comes twice and goes twice, overlapping with the next ones.
    for step in 0..60_u32 {
        let guest = user(step % 7);
        let (receipt, direction) = if step % 5 < 3 {
            (trial.store.rsvp(&guest, &fair).await.unwrap(), 1)
        } else {
            (trial.store.cancel(&guest, &fair).await.unwrap(), -1)
        };
        count += if receipt.outcome.is_applied() { direction } else { 0 };
        let counted = strong_count(trial).await;
        assert_eq!(i64::try_from(counted).unwrap(), count, "after step {step}");
    }
}

pub(crate) async fn repeating_a_batch_moves_no_count(trial: &Trial) {
    let batch: Vec<_> = (0..20_u32)
        .map(|n| match n % 3 {
            0 => Write::cancel(user(n), event(n % 2)),
            _ => Write::rsvp(user(n), event(n % 2)),
        })
        .collect();
    let mut model = Model::new();
    for _ in 0..3 {
        let outcomes = outcomes_of(&trial.store, &batch).await;
        assert_eq!(outcomes, model.write_batch(&batch));
        model.assert_held_by(&trial.store).await;
    }
}

pub(crate) async fn a_ready_store_says_so(trial: &Trial) {
    trial.store.ready().await.unwrap();
    trial.store.rsvp(&user("ann"), &event("fair")).await.unwrap();
    trial.store.ready().await.unwrap();
}

pub(crate) async fn a_store_that_cannot_write_is_not_ready(trial: &Trial) {
    let (store, ann, fair) = (&trial.store, user("ann"), event("fair"));
    store.rsvp(&ann, &fair).await.unwrap();
    store.ready().await.unwrap();
    // Reads may still succeed here. Readiness is about writes.
    trial.stop_engine().await;
    let refused = store.ready().await.expect_err("an engine that takes no writes");
    assert_eq!(refused.effect(), Effect::NotApplied);
    store.cancel(&ann, &fair).await.expect_err("an engine that takes no writes");
}

pub(crate) async fn printing_a_store_shows_no_ids(trial: &Trial) {
    let (who, what) = (user("somebody private"), event("something private"));
    trial.store.rsvp(&who, &what).await.unwrap();
    let shown = format!("{:?} {:#?}", trial.store, trial.store);
    assert!(!shown.contains("private"), "{shown}");
}
