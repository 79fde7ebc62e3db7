//! Removal leaves no trace, in bounded steps.

use std::time::Duration;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rsvp_core::{
    Consistency, Deadline, Error, EventId, Outcome, PageLimit, RemovalStep, Result, RsvpStore,
    RsvpStoreExt, Write, WriteOptions,
};
use tokio::time::sleep_until;

use super::cancellation::dropped_soon;
use crate::calls::{counts_of, outcomes_of};
use crate::ids::{event, hostile_ids, user};
use crate::model::Model;
use crate::suite::subject::Trial;

/// Users 0 to 29 at events 0 to 2.
async fn filled(trial: &Trial) -> Model {
    let writes: Vec<_> = (0..90_u32).map(|n| Write::rsvp(user(n / 3), event(n % 3))).collect();
    let mut model = Model::new();
    model.write_batch(&writes);
    outcomes_of(&trial.store, &writes).await;
    model
}

pub(crate) async fn a_removed_event_leaves_no_trace(trial: &Trial) {
    let mut model = filled(trial).await;
    trial.store.remove_event(&event(1)).await.unwrap();
    model.remove_event(&event(1));
    model.assert_held_by(&trial.store).await;
}

pub(crate) async fn a_removed_user_leaves_no_trace(trial: &Trial) {
    let mut model = filled(trial).await;
    trial.store.remove_user(&user(7)).await.unwrap();
    model.remove_user(&user(7));
    model.assert_held_by(&trial.store).await;
}

pub(crate) async fn a_removal_returns_how_many_went(trial: &Trial) {
    let store = &trial.store;
    assert_eq!(store.remove_event(&event("nobody knows")).await.unwrap().removed, 0);
    assert_eq!(store.remove_user(&user("nobody knows")).await.unwrap().removed, 0);
    let mut model = filled(trial).await;
    // The second round removes what is gone already.
    for _ in 0..2 {
        let removed = store.remove_event(&event(1)).await.unwrap().removed;
        assert_eq!(removed, model.remove_event(&event(1)));
        let removed = store.remove_user(&user(7)).await.unwrap().removed;
        assert_eq!(removed, model.remove_user(&user(7)));
    }
    model.assert_held_by(store).await;
}

/// Runs steps until the last one, and returns the number of removed RSVPs.
async fn steps(limit: PageLimit, mut step: impl AsyncFnMut() -> Result<RemovalStep>) -> u64 {
    let mut total = 0;
    for _ in 0..1000 {
        let RemovalStep { removed, more, .. } = step().await.unwrap();
        assert!(removed <= limit.get() as u64, "{removed} went in a step of {limit:?}");
        total += removed;
        if !more {
            return total;
        }
    }
    panic!("a removal that does not end");
}

pub(crate) async fn a_removal_takes_bounded_steps(trial: &Trial) {
    let (store, options) = (&trial.store, WriteOptions::default());
    for limit in [1, 7, 1000].map(|limit| PageLimit::new(limit).unwrap()) {
        let mut model = filled(trial).await;
        let popular = event(1);
        let removed =
            steps(limit, async || store.remove_event_step(&popular, limit, &options).await).await;
        assert_eq!(removed, model.remove_event(&popular));
        let busy = user(7);
        let removed =
            steps(limit, async || store.remove_user_step(&busy, limit, &options).await).await;
        assert_eq!(removed, model.remove_user(&busy));
        model.assert_held_by(store).await;
    }
}

pub(crate) async fn a_removal_that_stopped_can_be_taken_up_again(trial: &Trial) {
    let store = &trial.store;
    let mut model = filled(trial).await;
    let limit = PageLimit::new(7).unwrap();
    let first = store.remove_event_step(&event(1), limit, &WriteOptions::default()).await.unwrap();
    assert!(first.more, "30 RSVPs do not go in a step of 7");
    let strong = Consistency::Strong;
    let left = store.rsvp_count_with(&event(1), strong.clone()).await.unwrap().value;
    assert_eq!(left, 30 - first.removed, "the count is exact between two steps");
    let rest = trial.peer.remove_event(&event(1)).await.unwrap();
    assert_eq!(rest.removed, left, "what was left when it was taken up again");
    model.remove_event(&event(1));
    model.assert_held_by(store).await;
}

pub(crate) async fn a_session_sees_its_removal(trial: &Trial) {
    let store = &trial.store;
    filled(trial).await;
    let session = Consistency::Session(store.remove_event(&event(1)).await.unwrap().token);
    let peer = &trial.peer;
    assert!(!peer.has_rsvped_with(&user(3), &event(1), session.clone()).await.unwrap());
    assert_eq!(peer.rsvp_count_with(&event(1), session.clone()).await.unwrap().value, 0);
    let session = Consistency::Session(store.remove_user(&user(7)).await.unwrap().token);
    assert!(!peer.has_rsvped_with(&user(7), &event(2), session.clone()).await.unwrap());
    assert_eq!(peer.rsvp_count_with(&event(2), session.clone()).await.unwrap().value, 29);
}

pub(crate) async fn what_was_removed_can_come_back(trial: &Trial) {
    let store = &trial.store;
    let mut model = filled(trial).await;
    store.remove_event(&event(1)).await.unwrap();
    store.remove_user(&user(7)).await.unwrap();
    model.remove_event(&event(1));
    model.remove_user(&user(7));
    let writes = [Write::rsvp(user(7), event(1)), Write::cancel(user(8), event(1))];
    let outcomes = outcomes_of(store, &writes).await;
    assert_eq!(outcomes, [Outcome::Applied, Outcome::Unchanged]);
    model.write_batch(&writes);
    model.assert_held_by(store).await;
}

pub(crate) async fn a_removal_takes_its_id_literally(trial: &Trial) {
    let (store, ids, mut model) = (&trial.store, hostile_ids(), Model::new());
    let mut writes = Vec::new();
    for (at, id) in ids.iter().enumerate() {
        writes.push(Write::rsvp(user(id), event(&ids[(at + 1) % ids.len()])));
        writes.push(Write::rsvp(user(id), event("everyone")));
        writes.push(Write::rsvp(user("everywhere"), event(id)));
    }
    model.write_batch(&writes);
    outcomes_of(store, &writes).await;
    // Some ids are patterns or separators of an engine. Each removal must take its own RSVPs.
    for id in &ids {
        let removed = store.remove_event(&event(id)).await.unwrap().removed;
        assert_eq!(removed, model.remove_event(&event(id)), "removing the event {id:?}");
        let removed = store.remove_user(&user(id)).await.unwrap().removed;
        assert_eq!(removed, model.remove_user(&user(id)), "removing the user {id:?}");
    }
    model.assert_held_by(store).await;
}

/// The longest sync of a disk that also serves other tests.
const SYNC: Duration = Duration::from_secs(1);

/// Removes an event of 30 users, after steps with short deadlines, awaited or dropped.
async fn removed_after_failed_steps(trial: &Trial, popular: &EventId, mut random: StdRng) {
    let (store, limit) = (&trial.store, PageLimit::new(7).unwrap());
    let rsvps: Vec<_> = (0..30_u32).map(|n| Write::rsvp(user(n), popular.clone())).collect();
    outcomes_of(store, &rsvps).await;
    let mut left = 30;
    for _ in 0..random.random_range(1..6) {
        let time = Duration::from_micros(random.random_range(0..3000));
        let options = WriteOptions::default().with_timeout(time);
        let step = store.remove_event_step(popular, limit, &options);
        let answer =
            if random.random() { dropped_soon(&mut random, step).await } else { Some(step.await) };
        // A dropped step is begun by its deadline, and its transaction may be in a sync of the disk
        // then. A pending one takes effect until its own moment.
        let settled = match &answer {
            None => options.deadline.map(|deadline| Deadline::at(deadline.instant() + SYNC)),
            Some(answer) => answer.as_ref().err().and_then(Error::retry_at),
        };
        if let Some(settled) = settled {
            sleep_until(settled.instant() + Duration::from_millis(5)).await;
        }
        let before = left;
        left = counts_of(store, std::slice::from_ref(popular)).await[0];
        if let Some(Ok(step)) = answer {
            assert_eq!(step.removed, before - left, "{popular}: what this step removed");
        }
    }
    let removed = store.remove_event(popular).await.unwrap().removed;
    assert_eq!(removed, left, "{popular}: what was left");
}

pub(crate) async fn a_removal_repeated_after_a_failed_step_counts_nothing_twice(trial: &Trial) {
    let mut model = filled(trial).await;
    // Side by side, because a pending step is settled after seconds.
    let popular: Vec<_> = (100..110_u32).map(event).collect();
    join_all(popular.iter().zip(0_u64..).map(|(popular, n)| {
        removed_after_failed_steps(trial, popular, StdRng::seed_from_u64(trial.seed ^ n))
    }))
    .await;
    for popular in &popular {
        model.write(&Write::rsvp(user(0), popular.clone()));
        model.remove_event(popular);
    }
    model.assert_held_by(&trial.store).await;
}
