//! Concurrent writers, checked at the end.

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rsvp_core::{Action, Consistency, EventId, Outcome, RsvpStore, RsvpStoreExt, UserId, Write};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::calls::{counts_of, outcomes_of, presence_of};
use crate::ids::{event, user};
use crate::model::Model;
use crate::suite::subject::Trial;

/// Runs `task` `n` times at once, each on a task of its own. All start together.
pub(super) async fn at_once<T, F>(n: usize, mut task: impl FnMut(usize) -> F) -> Vec<T>
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

/// Compares all ways to read the pairs, and panics if they disagree.
pub(super) async fn assert_agreement(store: &dyn RsvpStore, users: &[UserId], events: &[EventId]) {
    use futures_util::TryStreamExt;
    let mut model = Model::new();
    for event in events {
        let attendees: Vec<_> = store.attendees(event).try_collect().await.unwrap();
        for user in attendees {
            model.write(&Write::rsvp(user, event.clone()));
        }
    }
    // The model needs the users and events to look for, even if nothing is left of them.
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
        let outcomes = at_once(16, |number| {
            let store = trial.either(number);
            async move { store.rsvp(&user("ann"), &event(round)).await.unwrap().outcome }
        })
        .await;
        let applied = outcomes.iter().filter(|outcome| outcome.is_applied()).count();
        assert_eq!(applied, 1, "round {round}");
        let strong = Consistency::Strong;
        let count = trial.store.rsvp_count_with(&event(round), strong.clone()).await.unwrap();
        assert_eq!(count.value, 1, "round {round}");
    }
}

pub(crate) async fn concurrent_toggles_add_up(trial: &Trial) {
    let (ann, fair) = (user("ann"), event("fair"));
    let sums = at_once(16, |number| {
        let (store, ann, fair) = (trial.either(number), ann.clone(), fair.clone());
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
    // Each applied RSVP adds one and each applied cancel takes one.
    // With a single pair the sum can only be zero or one.
    let present = trial.store.has_rsvped(&ann, &fair).await.unwrap();
    assert_eq!(sums.iter().sum::<i32>(), i32::from(present), "applied outcomes add up");
    assert_agreement(&trial.store, &[ann], &[fair]).await;
}

/// Makes a random batch of a few pairs.
fn random_batch(rng: &mut StdRng, users: &[UserId], events: &[EventId]) -> Vec<Write> {
    (0..rng.random_range(1..12))
        .map(|_| {
            let user = users[rng.random_range(0..users.len())].clone();
            let event = events[rng.random_range(0..events.len())].clone();
            if rng.random_bool(0.6) { Write::rsvp(user, event) } else { Write::cancel(user, event) }
        })
        .collect()
}

/// Returns the change of the number of RSVPs by the outcomes of a batch.
fn moved(batch: &[Write], outcomes: &[Outcome]) -> i64 {
    let moves = batch.iter().zip(outcomes).map(|(write, outcome)| match write.action {
        _ if !outcome.is_applied() => 0,
        Action::Rsvp => 1,
        Action::Cancel => -1,
    });
    moves.sum()
}

pub(crate) async fn concurrent_writers_leave_exact_counts(trial: &Trial) {
    let users: Vec<_> = (0..6_u32).map(user).collect();
    let events: Vec<_> = (0..3_u32).map(event).collect();
    let moves = at_once(12, |number| {
        let (store, users, events) = (trial.either(number), users.clone(), events.clone());
        let mut rng = StdRng::seed_from_u64(trial.seed ^ number as u64);
        async move {
            let mut moves = vec![0; events.len()];
            for _ in 0..25 {
                let batch = random_batch(&mut rng, &users, &events);
                let outcomes = outcomes_of(&store, &batch).await;
                for (write, outcome) in batch.iter().zip(&outcomes) {
                    let at = events.iter().position(|event| *event == write.rsvp.event).unwrap();
                    moves[at] += moved(std::slice::from_ref(write), std::slice::from_ref(outcome));
                }
            }
            moves
        }
    })
    .await;
    let counts = counts_of(&trial.store, &events).await;
    for (at, count) in counts.iter().enumerate() {
        let applied: i64 = moves.iter().map(|moves| moves[at]).sum();
        assert_eq!(i64::try_from(*count).unwrap(), applied, "event {at}");
    }
    assert_agreement(&trial.store, &users, &events).await;
}

/// Each caller owns a few users of one event, so it knows every answer.
pub(crate) async fn concurrent_callers_each_get_their_own_outcome(trial: &Trial) {
    at_once(16, |number| {
        let store = trial.either(number);
        let mut rng = StdRng::seed_from_u64(trial.seed ^ number as u64);
        async move {
            let mut model = Model::new();
            let users: Vec<_> = (0..3).map(|n| user(format!("{number} {n}"))).collect();
            for round in 0..40 {
                let batch = random_batch(&mut rng, &users, &[event("fair")]);
                let batch = &batch[..batch.len().min(3)];
                let outcomes = outcomes_of(&store, batch).await;
                assert_eq!(outcomes, model.write_batch(batch), "caller {number}, round {round}");
                let pairs: Vec<_> = batch.iter().map(|write| write.rsvp.clone()).collect();
                let has = presence_of(&store, &pairs).await;
                let expected: Vec<_> = pairs.iter().map(|pair| model.has_rsvped(pair)).collect();
                assert_eq!(has, expected, "caller {number}, round {round}");
            }
        }
    })
    .await;
}

pub(crate) async fn batches_in_opposite_order_both_finish(trial: &Trial) {
    let writes: Vec<_> = (0..40_u32).map(|n| Write::rsvp(user(n % 20), event(n / 20))).collect();
    let cancels: Vec<_> = (0..40_u32).map(|n| Write::cancel(user(n % 20), event(n / 20))).collect();
    at_once(8, |number| {
        let store = trial.either(number);
        let mut batch = if number % 4 < 2 { writes.clone() } else { cancels.clone() };
        // Opposite orders of the same rows are the classic cause of deadlocks.
        if number % 2 == 0 {
            batch.reverse();
        }
        async move {
            for _ in 0..15 {
                outcomes_of(&store, &batch).await;
            }
        }
    })
    .await;
    let users: Vec<_> = (0..20_u32).map(user).collect();
    assert_agreement(&trial.store, &users, &[event(0), event(1)]).await;
}

pub(crate) async fn removals_among_writers_add_up(trial: &Trial) {
    let users: Vec<_> = (0..6_u32).map(user).collect();
    let events: Vec<_> = (0..3_u32).map(event).collect();
    let moves = at_once(10, |number| {
        let (store, users, events) = (trial.either(number / 2), users.clone(), events.clone());
        let mut rng = StdRng::seed_from_u64(trial.seed ^ number as u64);
        async move {
            let mut moves = 0;
            for round in 0..20 {
                // Four of the ten callers remove, and the others write.
                moves += match number {
                    0 | 1 => {
                        let removal = store.remove_event(&events[round % 3]).await.unwrap();
                        -i64::try_from(removal.removed).unwrap()
                    }
                    2 | 3 => {
                        let removal = store.remove_user(&users[round % 6]).await.unwrap();
                        -i64::try_from(removal.removed).unwrap()
                    }
                    _ => {
                        let batch = random_batch(&mut rng, &users, &events);
                        moved(&batch, &outcomes_of(&store, &batch).await)
                    }
                };
            }
            moves
        }
    })
    .await;
    let counts = counts_of(&trial.store, &events).await;
    let left: u64 = counts.iter().sum();
    assert_eq!(moves.iter().sum::<i64>(), i64::try_from(left).unwrap(), "every RSVP went once");
    assert_agreement(&trial.store, &users, &events).await;
}
