//! A batch behaves as its writes one after another.

use rand::Rng;
use rsvp_core::{Outcome, Rsvp, Write};

use crate::calls::{counts_of, outcomes_of, presence_of};
use crate::ids::{event, user};
use crate::model::Model;
use crate::suite::subject::Trial;

pub(crate) async fn empty_batches_are_fine(trial: &Trial) {
    let store = &trial.store;
    assert!(outcomes_of(store, &[]).await.is_empty());
    assert!(presence_of(store, &[]).await.is_empty());
    assert!(counts_of(store, &[]).await.is_empty());
}

pub(crate) async fn outcomes_come_in_the_order_of_the_writes(trial: &Trial) {
    let present: Vec<_> =
        (0..50_u32).step_by(3).map(|n| Write::rsvp(user(n), event("e"))).collect();
    outcomes_of(&trial.store, &present).await;
    // Neither sorted nor reversed, so that any other order shows.
    let order: Vec<_> = (0..50_u32).map(|n| (n * 17) % 50).collect();
    let batch: Vec<_> = order.iter().map(|&n| Write::rsvp(user(n), event("e"))).collect();
    let outcomes = outcomes_of(&trial.store, &batch).await;
    let expected: Vec<_> = order.iter().map(|n| Outcome::from_changed(n % 3 != 0)).collect();
    assert_eq!(outcomes, expected);
}

pub(crate) async fn duplicates_in_a_batch_each_have_their_outcome(trial: &Trial) {
    use Outcome::{Applied, Unchanged};
    let rsvp = || Write::rsvp(user("ann"), event("fair"));
    let cancel = || Write::cancel(user("ann"), event("fair"));

    let batch = [rsvp(), rsvp(), cancel(), cancel(), rsvp()];
    let outcomes = outcomes_of(&trial.store, &batch).await;
    assert_eq!(outcomes, [Applied, Unchanged, Applied, Unchanged, Applied]);

    let outcomes = outcomes_of(&trial.store, &[cancel(), rsvp(), rsvp(), cancel()]).await;
    assert_eq!(outcomes, [Applied, Applied, Unchanged, Applied]);

    // The batch ends with a cancel, so the pair must be absent.
    let outcomes = outcomes_of(&trial.store, &[rsvp(), cancel()]).await;
    assert_eq!(outcomes, [Applied, Applied]);
    let mut model = Model::new();
    model.write(&cancel());
    model.assert_held_by(&trial.store).await;
}

pub(crate) async fn a_batch_behaves_as_its_writes_one_after_another(trial: &Trial) {
    let mut rng = trial.rng();
    let mut model = Model::new();
    for round in 0..20 {
        // More writes than pairs, so that most batches have duplicates.
        let batch: Vec<_> = (0..rng.random_range(1..200))
            .map(|_| {
                let (user, event) = (user(rng.random_range(0..8)), event(rng.random_range(0..4)));
                if rng.random() { Write::rsvp(user, event) } else { Write::cancel(user, event) }
            })
            .collect();
        let outcomes = outcomes_of(&trial.store, &batch).await;
        assert_eq!(outcomes, model.write_batch(&batch), "round {round}: {batch:?}");
    }
    model.assert_held_by(&trial.store).await;
}

pub(crate) async fn a_batch_of_ten_thousand_is_one_call(trial: &Trial) {
    let batch: Vec<_> = (0..10_000_u32).map(|n| Write::rsvp(user(n), event(n % 10))).collect();
    let outcomes = outcomes_of(&trial.store, &batch).await;
    assert_eq!(outcomes, vec![Outcome::Applied; batch.len()]);

    let pairs: Vec<_> = batch.iter().map(|write| write.rsvp.clone()).collect();
    let answers = presence_of(&trial.store, &pairs).await;
    assert_eq!(answers, vec![true; pairs.len()]);

    // One half of the events has no RSVPs, so zeros must stand at their places, too.
    let events: Vec<_> = (0..10_000_u32).map(|n| event(n % 20)).collect();
    let counts = counts_of(&trial.store, &events).await;
    for (at, count) in counts.iter().enumerate() {
        assert_eq!(*count, if at % 20 < 10 { 1000 } else { 0 }, "event {}", at % 20);
    }
}

pub(crate) async fn answers_come_in_the_order_asked_with_repeats(trial: &Trial) {
    let batch: Vec<_> =
        (0..40_u32).filter(|n| n % 4 != 1).map(|n| Write::rsvp(user(n), event(n % 5))).collect();
    let mut model = Model::new();
    model.write_batch(&batch);
    outcomes_of(&trial.store, &batch).await;

    // Each pair is asked three times, in another order than the writes.
    let asked: Vec<_> =
        (0..120_u32).map(|n| (n * 7) % 40).map(|n| Rsvp::new(user(n), event(n % 5))).collect();
    let answers = presence_of(&trial.store, &asked).await;
    let expected: Vec<_> = asked.iter().map(|pair| model.has_rsvped(pair)).collect();
    assert_eq!(answers, expected);

    let asked: Vec<_> = [3, 0, 9, 0, 4, 3, 9, 1].map(event).to_vec();
    let counts = counts_of(&trial.store, &asked).await;
    let expected: Vec<_> = asked.iter().map(|event| model.rsvp_count(event)).collect();
    assert_eq!(counts, expected);
}
