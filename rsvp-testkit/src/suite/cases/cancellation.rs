//! Dropping a call's future is safe.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use futures_util::TryStreamExt;
use futures_util::future::join_all;
use rand::Rng;
use rand::rngs::StdRng;
use rsvp_core::{
    Consistency, EventId, Outcome, Rsvp, RsvpStore, RsvpStoreExt, UserId, Write, WriteOptions,
};
use tokio::time::Instant;

use super::races::assert_agreement;
use crate::calls::{counts_of, outcomes_of, presence_of};
use crate::ids::{event, user};
use crate::model::Model;
use crate::suite::subject::Trial;

/// Polls `call` for a random while and drops it, finished or not.
pub(super) async fn dropped_soon<F: Future>(rng: &mut StdRng, call: F) -> Option<F::Output> {
    // A few polls drop a call early, before its first answer. A time drops it at any point.
    let polls = rng.random_range(0..4);
    let micros = rng.random_range(0..3000);
    tokio::select! {
        biased;
        answer = call => Some(answer),
        () = async {
            if polls < 3 {
                for _ in 0..polls { tokio::task::yield_now().await; }
            } else {
                tokio::time::sleep(Duration::from_micros(micros)).await;
            }
        } => None,
    }
}

fn batch_of(action: impl Fn(u32) -> Write, from: u32) -> Vec<Write> {
    (from..from + 10).map(action).collect()
}

pub(crate) async fn a_dropped_write_may_be_repeated(trial: &Trial) {
    let store = &trial.store;
    let (coming, going) = (event("coming"), event("going"));
    let comes = |n| Write::rsvp(user(n), coming.clone());
    let goes = |n| Write::cancel(user(n), going.clone());

    let mut model = Model::new();
    let there: Vec<_> = (0..110).map(|n| Write::rsvp(user(n), going.clone())).collect();
    model.write_batch(&there);
    outcomes_of(store, &there).await;

    let (mut rng, options) = (trial.rng(), WriteOptions::default());
    for _ in 0..200 {
        let from = rng.random_range(0..100);
        let batch = if rng.random() { batch_of(comes, from) } else { batch_of(goes, from) };
        dropped_soon(&mut rng, store.write_batch(&batch, &options)).await;
    }
    // A dropped write may still take effect, so only a repetition shows the final state.
    for batch in [batch_of(comes, 0), (0..110).map(comes).collect(), (0..110).map(goes).collect()] {
        model.write_batch(&batch);
        let outcomes = outcomes_of(store, &batch).await;
        assert_eq!(outcomes.len(), batch.len());
    }
    let repeated = outcomes_of(store, &batch_of(comes, 0)).await;
    assert_eq!(repeated, [Outcome::Unchanged; 10]);
    model.assert_held_by(store).await;
}

/// A dropped write may take effect until its deadline. Nobody repeats it here.
/// A store that needs two steps for it may do the second one when no attempt at it can come late any
/// more. In the end its effect must be in both directions or in none.
pub(crate) async fn a_dropped_write_is_done_in_both_directions_or_in_none(trial: &Trial) {
    let (store, mut rng) = (&trial.store, trial.rng());
    let users: Vec<_> = (0..30_u32).map(user).collect();
    let events: Vec<_> = (0..3_u32).map(event).collect();
    let options = WriteOptions::default().with_timeout(Duration::from_millis(200));
    for n in 0..90 {
        let guest = &users[n % users.len()];
        let write = |event: &EventId| match n % 3 {
            0 | 1 => Write::rsvp(guest.clone(), event.clone()),
            _ => Write::cancel(guest.clone(), event.clone()),
        };
        let batch: Vec<_> = events.iter().map(write).collect();
        dropped_soon(&mut rng, store.write_batch(&batch, &options)).await;
    }
    let deadline = options.deadline.expect("a deadline");
    tokio::time::sleep_until(deadline.instant() + Duration::from_millis(100)).await;
    // A store begins its second step at the end of its settling time, and needs some time for it.
    let settled = deadline.instant() + store.settling_time() * 2;
    while !directions_agree(store, &users, &events).await && Instant::now() < settled {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_agreement(store, &users, &events).await;
}

/// Returns whether the lists of the events and of the users hold the same RSVPs.
async fn directions_agree(store: &dyn RsvpStore, users: &[UserId], events: &[EventId]) -> bool {
    let (mut of_events, mut of_users) = (BTreeSet::new(), BTreeSet::new());
    for event in events {
        let attendees: Vec<_> = store.attendees(event).try_collect().await.unwrap();
        of_events.extend(attendees.into_iter().map(|user| Rsvp::new(user, event.clone())));
    }
    for user in users {
        let attended: Vec<_> = store.events_of(user).try_collect().await.unwrap();
        of_users.extend(attended.into_iter().map(|event| Rsvp::new(user.clone(), event)));
    }
    of_events == of_users
}

pub(crate) async fn dropped_calls_leave_the_store_working(trial: &Trial) {
    let store = &trial.store;
    let mut rng = trial.rng();
    let fair = event("fair");
    for n in 0..300_u32 {
        let guest = user(n % 50);
        match n % 6 {
            0 => drop(dropped_soon(&mut rng, store.rsvp(&guest, &fair)).await),
            1 => drop(dropped_soon(&mut rng, store.cancel(&guest, &fair)).await),
            2 => drop(dropped_soon(&mut rng, store.has_rsvped(&guest, &fair)).await),
            3 => drop(dropped_soon(&mut rng, store.rsvp_count(&fair)).await),
            4 => drop(dropped_soon(&mut rng, store.remove_user(&guest)).await),
            _ => drop(dropped_soon(&mut rng, store.ready()).await),
        }
    }
    // More calls than any pool has connections, on pairs that no dropped call may still change.
    let after = event("after");
    let guests: Vec<_> = (100..164_u32).map(user).collect();
    let calls = guests.iter().map(|guest| async {
        store.rsvp(guest, &after).await.unwrap();
        store.has_rsvped(guest, &after).await.unwrap()
    });
    assert_eq!(join_all(calls).await, [true; 64]);
    let count = store.rsvp_count_with(&after, Consistency::Strong).await.unwrap();
    assert_eq!(count.value, 64);
}

/// Users attend the events with their own number, if it is even.
async fn assert_own_answer(store: &dyn RsvpStore, n: u32) {
    let pairs: Vec<_> = (n..n + 3).map(|n| Rsvp::new(user(n), event(n))).collect();
    let events: Vec<EventId> = (n..n + 3).map(event).collect();
    let expected: Vec<_> = (n..n + 3).map(|n| n % 2 == 0).collect();
    let has = presence_of(store, &pairs).await;
    assert_eq!(has, expected, "from {n} on");
    let counts = counts_of(store, &events).await;
    let counts: Vec<_> = counts.iter().map(|count| *count == 1).collect();
    assert_eq!(counts, expected, "from {n} on");
}

pub(crate) async fn answers_reach_their_own_caller(trial: &Trial) {
    let store = &trial.store;
    let setup: Vec<_> = (0..100_u32).step_by(2).map(|n| Write::rsvp(user(n), event(n))).collect();
    outcomes_of(store, &setup).await;
    let callers = (0..8).map(|caller| {
        let mut rng = trial.rng();
        async move {
            for round in 0..60_u32 {
                let n = (round * 13 + caller * 7) % 90;
                // Dropped calls leave answers behind. An awaited call must get none of them.
                if round % 3 == 0 {
                    assert_own_answer(store, n).await;
                } else {
                    dropped_soon(&mut rng, assert_own_answer(store, n)).await;
                }
            }
        }
    });
    join_all(callers).await;
}
