//! Concurrent writers, checked at the end.

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rsvp_core::{Consistency, EventId, Outcome, RsvpStore, RsvpStoreExt, UserId, Write};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::ids::{event, user};
use crate::{Model, Trial};

/// Runs `task` `n` times at once, each on a task of its own, all starting together.
async fn at_once<T, F>(n: usize, mut task: impl FnMut(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let start = Arc::new(Barrier::new(n));
    let mut tasks = JoinSet::new();
    for number in 0..n {
        let (start, task) = (start.clone(), task(number));
        tasks.spawn(async move {
            start.wait().await;
            task.await
        });
    }
    tasks.join_all().await
}

/// How the pair stands, asked in every way; panics where the ways disagree.
async fn assert_agreement(store: &dyn RsvpStore, users: &[UserId], events: &[EventId]) {
    use futures_util::TryStreamExt;
    let mut model = Model::new();
    for event in events {
        let attendees: Vec<_> = store.attendees(event).try_collect().await.unwrap();
        for user in attendees {
            model.write(&Write::rsvp(user, event.clone()));
        }
    }
    // The model has to know whom and what to look for, also where nothing is left.
    for (user, event) in users.iter().flat_map(|user| events.iter().map(move |e| (user, e))) {
        let known = Write::rsvp(user.clone(), event.clone());
        if !model.has_rsvped(&known.rsvp) {
            model.write(&Write::cancel(user.clone(), event.clone()));
        }
    }
    model.assert_held_by(store).await;
}

pub(crate) async fn one_of_many_concurrent_rsvps_is_applied(trial: &Trial) {
    for round in 0..20_u32 {
        let outcomes = at_once(16, |_| {
            let store = trial.store.clone();
            async move { store.rsvp(&user("ann"), &event(round)).await.unwrap().outcome }
        })
        .await;
        let applied = outcomes.iter().filter(|outcome| outcome.is_applied()).count();
        assert_eq!(applied, 1, "round {round}");
        let strong = Consistency::Strong;
        let count = trial.store.rsvp_count_with(&event(round), &strong).await.unwrap();
        assert_eq!(count.value, 1, "round {round}");
    }
}

pub(crate) async fn concurrent_toggles_add_up(trial: &Trial) {
    let (ann, fair) = (user("ann"), event("fair"));
    let sums = at_once(16, |number| {
        let (store, ann, fair) = (trial.store.clone(), ann.clone(), fair.clone());
        async move {
            let mut sum = 0;
            for step in 0..25 {
                if (step + number) % 2 == 0 {
                    let outcome = store.rsvp(&ann, &fair).await.unwrap().outcome;
                    sum += i32::from(outcome == Outcome::Applied);
                } else {
                    let outcome = store.cancel(&ann, &fair).await.unwrap().outcome;
                    sum -= i32::from(outcome == Outcome::Applied);
                }
            }
            sum
        }
    })
    .await;
    let present = trial.store.has_rsvped(&ann, &fair).await.unwrap();
    assert_eq!(sums.iter().sum::<i32>(), i32::from(present), "applied outcomes add up");
    assert_agreement(&trial.store, &[ann], &[fair]).await;
}

/// A random batch over few pairs, and by how much each event's count should move.
fn random_batch(rng: &mut StdRng, users: &[UserId], events: &[EventId]) -> Vec<Write> {
    (0..rng.random_range(1..12))
        .map(|_| {
            let user = users[rng.random_range(0..users.len())].clone();
            let event = events[rng.random_range(0..events.len())].clone();
            if rng.random_bool(0.6) { Write::rsvp(user, event) } else { Write::cancel(user, event) }
        })
        .collect()
}

pub(crate) async fn concurrent_writers_leave_exact_counts(trial: &Trial) {
    let users: Vec<_> = (0..6_u32).map(user).collect();
    let events: Vec<_> = (0..3_u32).map(event).collect();
    let moved = at_once(12, |number| {
        let (store, users, events) = (trial.store.clone(), users.clone(), events.clone());
        let mut rng = StdRng::seed_from_u64(trial.seed ^ number as u64);
        async move {
            let mut moved = vec![0_i64; events.len()];
            for _ in 0..25 {
                let batch = random_batch(&mut rng, &users, &events);
                let receipt = store.write_batch(&batch).await.unwrap();
                for (write, outcome) in batch.iter().zip(receipt.outcomes) {
                    let at = events.iter().position(|event| *event == write.rsvp.event).unwrap();
                    let step = match write.action {
                        rsvp_core::Action::Rsvp => 1,
                        rsvp_core::Action::Cancel => -1,
                    };
                    moved[at] += if outcome.is_applied() { step } else { 0 };
                }
            }
            moved
        }
    })
    .await;
    let counts = trial.store.rsvp_counts(&events, &Consistency::Strong).await.unwrap();
    for (at, count) in counts.iter().enumerate() {
        let applied: i64 = moved.iter().map(|moved| moved[at]).sum();
        assert_eq!(i64::try_from(count.value).unwrap(), applied, "event {at}");
    }
    assert_agreement(&trial.store, &users, &events).await;
}

pub(crate) async fn batches_in_opposite_order_both_finish(trial: &Trial) {
    let writes: Vec<_> = (0..40_u32).map(|n| Write::rsvp(user(n % 20), event(n / 20))).collect();
    let cancels: Vec<_> = (0..40_u32).map(|n| Write::cancel(user(n % 20), event(n / 20))).collect();
    at_once(8, |number| {
        let store = trial.store.clone();
        let mut batch = if number % 4 < 2 { writes.clone() } else { cancels.clone() };
        if number % 2 == 0 {
            batch.reverse();
        }
        async move {
            for _ in 0..15 {
                store.write_batch(&batch).await.unwrap();
            }
        }
    })
    .await;
    let users: Vec<_> = (0..20_u32).map(user).collect();
    assert_agreement(&trial.store, &users, &[event(0), event(1)]).await;
}

pub(crate) async fn removals_among_writers_leave_both_directions_agreeing(trial: &Trial) {
    let users: Vec<_> = (0..6_u32).map(user).collect();
    let events: Vec<_> = (0..3_u32).map(event).collect();
    at_once(9, |number| {
        let (store, users, events) = (trial.store.clone(), users.clone(), events.clone());
        let mut rng = StdRng::seed_from_u64(trial.seed ^ number as u64);
        async move {
            for round in 0..20 {
                match number {
                    0 => drop(store.remove_event(&events[round % 3]).await.unwrap()),
                    1 => drop(store.remove_user(&users[round % 6]).await.unwrap()),
                    _ => {
                        let batch = random_batch(&mut rng, &users, &events);
                        store.write_batch(&batch).await.unwrap();
                    }
                }
            }
        }
    })
    .await;
    assert_agreement(&trial.store, &users, &events).await;
}
