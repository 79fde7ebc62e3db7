//! Nothing ends at a thousand, nor at ten thousand.

use std::collections::BTreeSet;

use futures_util::TryStreamExt;
use rsvp_core::{EventId, PageLimit, PageRequest, RsvpStoreExt, UserId, Write, WriteOptions};

use crate::calls::{counts_of, outcomes_of, presence_of};
use crate::ids::{event, user};
use crate::model::Model;
use crate::suite::subject::Trial;

/// Longer than any default page of a backend.
const THOUSANDS: u32 = 2500;

/// There is no longest batch. A backend divides a batch that is too long for its engine.
pub(crate) async fn a_batch_of_twenty_thousand_is_done_to_its_end(trial: &Trial) {
    let store = &trial.store;
    let at = |n: u32| (user(n), event(n % 10));
    let rsvps: Vec<_> = (0..20_000).map(at).map(|(user, event)| Write::rsvp(user, event)).collect();
    assert!(outcomes_of(store, &rsvps).await.iter().all(|outcome| outcome.is_applied()));

    // Two of three writes are changes, so a part that was left out shows in its outcomes.
    let changes: Vec<_> = (0..20_000)
        .map(|n| match (n % 3, at(n)) {
            (0, (user, event)) => Write::rsvp(user, event),
            (_, (user, event)) => Write::cancel(user, event),
        })
        .collect();
    let outcomes = outcomes_of(store, &changes).await;
    let applied: Vec<_> = outcomes.iter().map(|outcome| outcome.is_applied()).collect();
    let stays: Vec<_> = (0..20_000).map(|n| n % 3 == 0).collect();
    assert!(applied.iter().zip(&stays).all(|(applied, stays)| applied != stays));

    let pairs: Vec<_> = rsvps.into_iter().map(|write| write.rsvp).collect();
    assert!(presence_of(store, &pairs).await == stays, "a write was not done");
    let held = |e: u32| (e..20_000).step_by(10).filter(|n| n % 3 == 0).count() as u64;
    let expected: Vec<_> = (0..20).map(|e| if e < 10 { held(e) } else { 0 }).collect();
    let events: Vec<_> = (0..20_000_u32).map(|n| event(n % 20)).collect();
    for (n, count) in counts_of(store, &events).await.into_iter().enumerate() {
        assert_eq!(count, expected[n % 20], "the count of {}", n % 20);
    }
}

pub(crate) async fn a_count_beyond_65_536_is_exact(trial: &Trial) {
    let (store, concert) = (&trial.store, event("concert"));
    // In four batches, because the count and not the batch is tested here.
    for from in (0..66_000).step_by(16_500) {
        let rsvps: Vec<_> =
            (from..from + 16_500_u32).map(|n| Write::rsvp(user(n), concert.clone())).collect();
        outcomes_of(store, &rsvps).await;
    }
    assert_eq!(counts_of(store, std::slice::from_ref(&concert)).await, [66_000]);
    let cancels: Vec<_> = (0..1000_u32).map(|n| Write::cancel(user(n), concert.clone())).collect();
    outcomes_of(store, &cancels).await;
    assert_eq!(counts_of(store, &[concert]).await, [65_000]);
}

/// An event with thousands of attendees, and a user with thousands of events.
async fn filled(trial: &Trial) -> (EventId, UserId, Model) {
    let (fair, ann, mut model) = (event("fair"), user("ann"), Model::new());
    let mut writes: Vec<_> = (0..THOUSANDS).map(|n| Write::rsvp(user(n), fair.clone())).collect();
    writes.extend((0..THOUSANDS).map(|n| Write::rsvp(ann.clone(), event(n))));
    outcomes_of(&trial.store, &writes).await;
    model.write_batch(&writes);
    (fair, ann, model)
}

pub(crate) async fn a_list_of_thousands_is_read_to_its_end(trial: &Trial) {
    let (fair, ann, model) = filled(trial).await;
    let store = &trial.store;
    for limit in [400, 1000, 10_000] {
        let request = PageRequest::default().with_limit(PageLimit::new(limit).unwrap());
        let attendees: BTreeSet<_> =
            store.attendees_with(&fair, request.clone()).try_collect().await.unwrap();
        assert_eq!(attendees.len(), model.attendees(&fair).len(), "in pages of {limit}");
        let events: BTreeSet<_> =
            store.events_of_with(&ann, request.clone()).try_collect().await.unwrap();
        assert_eq!(events.len(), model.events_of(&ann).len(), "in pages of {limit}");
        let all: BTreeSet<_> = store.scan_with(request).try_collect().await.unwrap();
        assert_eq!(all.len(), model.rsvps().len(), "in pages of {limit}");
    }
}

pub(crate) async fn a_removal_of_thousands_leaves_nothing(trial: &Trial) {
    let (fair, ann, _) = filled(trial).await;
    let store = &trial.store;
    assert_eq!(store.remove_event(&fair).await.unwrap().removed, u64::from(THOUSANDS));
    assert_eq!(counts_of(store, &[fair]).await, [0]);
    // The number of steps is the least possible under the limit.
    let (mut removed, mut more) = (0, true);
    while more {
        let options = WriteOptions::default();
        let step = store.remove_user_step(&ann, PageLimit::MAX, &options).await.unwrap();
        removed += step.removed;
        more = step.more;
    }
    assert_eq!(removed, u64::from(THOUSANDS));
    let left: Vec<_> = store.scan().try_collect().await.unwrap();
    assert_eq!(left, []);
}
