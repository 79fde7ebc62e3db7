//! A batch behaves as its writes one after another.

use rand::Rng;
use rsvp_core::{Consistency, Outcome, Rsvp, RsvpStore, Write};

use crate::ids::{event, user};
use crate::model::Model;
use crate::suite::subject::Trial;

pub(crate) async fn empty_batches_are_fine(trial: &Trial) {
    let store = &trial.store;
    assert!(store.write_batch(&[]).await.unwrap().outcomes.is_empty());
    assert!(store.has_rsvped_batch(&[], &Consistency::Strong).await.unwrap().is_empty());
    assert!(store.rsvp_counts(&[], &Consistency::Strong).await.unwrap().is_empty());
}

pub(crate) async fn outcomes_come_in_the_order_of_the_writes(trial: &Trial) {
    let present: Vec<_> =
        (0..50_u32).step_by(3).map(|n| Write::rsvp(user(n), event("e"))).collect();
    trial.store.write_batch(&present).await.unwrap();
    // Neither sorted nor reverse, so that any other order shows.
    let order: Vec<_> = (0..50_u32).map(|n| (n * 17) % 50).collect();
    let batch: Vec<_> = order.iter().map(|&n| Write::rsvp(user(n), event("e"))).collect();
    let outcomes = trial.store.write_batch(&batch).await.unwrap().outcomes;
    let expected: Vec<_> = order.iter().map(|n| Outcome::from_changed(n % 3 != 0)).collect();
    assert_eq!(outcomes, expected);
}

pub(crate) async fn duplicates_in_a_batch_each_have_their_outcome(trial: &Trial) {
    use Outcome::{Applied, Unchanged};
    let rsvp = || Write::rsvp(user("ann"), event("fair"));
    let cancel = || Write::cancel(user("ann"), event("fair"));

    let batch = [rsvp(), rsvp(), cancel(), cancel(), rsvp()];
    let outcomes = trial.store.write_batch(&batch).await.unwrap().outcomes;
    assert_eq!(outcomes, [Applied, Unchanged, Applied, Unchanged, Applied]);

    let outcomes = trial.store.write_batch(&[cancel(), rsvp(), rsvp(), cancel()]).await.unwrap();
    assert_eq!(outcomes.outcomes, [Applied, Applied, Unchanged, Applied]);

    let outcomes = trial.store.write_batch(&[rsvp(), cancel()]).await.unwrap().outcomes;
    assert_eq!(outcomes, [Applied, Applied]);
    let mut model = Model::new();
    model.write(&cancel());
    model.assert_held_by(&trial.store).await;
}

pub(crate) async fn a_batch_behaves_as_its_writes_one_after_another(trial: &Trial) {
    let mut rng = trial.rng();
    let mut model = Model::new();
    for round in 0..20 {
        let batch: Vec<_> = (0..rng.random_range(1..200))
            .map(|_| {
                let (user, event) = (user(rng.random_range(0..8)), event(rng.random_range(0..4)));
                if rng.random() { Write::rsvp(user, event) } else { Write::cancel(user, event) }
            })
            .collect();
        let outcomes = trial.store.write_batch(&batch).await.unwrap().outcomes;
        assert_eq!(outcomes, model.write_batch(&batch), "round {round}: {batch:?}");
    }
    model.assert_held_by(&trial.store).await;
}

pub(crate) async fn a_batch_of_ten_thousand_is_one_call(trial: &Trial) {
    let batch: Vec<_> = (0..10_000_u32).map(|n| Write::rsvp(user(n), event(n % 10))).collect();
    let outcomes = trial.store.write_batch(&batch).await.unwrap().outcomes;
    assert_eq!(outcomes, vec![Outcome::Applied; batch.len()]);

    let pairs: Vec<_> = batch.iter().map(|write| write.rsvp.clone()).collect();
    let answers = trial.store.has_rsvped_batch(&pairs, &Consistency::Strong).await.unwrap();
    assert_eq!(answers, vec![true; pairs.len()]);

    let events: Vec<_> = (0..10_000_u32).map(|n| event(n % 20)).collect();
    let counts = trial.store.rsvp_counts(&events, &Consistency::Strong).await.unwrap();
    assert_eq!(counts.len(), events.len());
    for (at, count) in counts.iter().enumerate() {
        assert_eq!(count.value, if at % 20 < 10 { 1000 } else { 0 }, "event {}", at % 20);
    }
}

pub(crate) async fn answers_come_in_the_order_asked_with_repeats(trial: &Trial) {
    let batch: Vec<_> =
        (0..40_u32).filter(|n| n % 4 != 1).map(|n| Write::rsvp(user(n), event(n % 5))).collect();
    let mut model = Model::new();
    model.write_batch(&batch);
    trial.store.write_batch(&batch).await.unwrap();

    let asked: Vec<_> =
        (0..120_u32).map(|n| (n * 7) % 40).map(|n| Rsvp::new(user(n), event(n % 5))).collect();
    let answers = trial.store.has_rsvped_batch(&asked, &Consistency::Strong).await.unwrap();
    let expected: Vec<_> = asked.iter().map(|pair| model.has_rsvped(pair)).collect();
    assert_eq!(answers, expected);

    let asked: Vec<_> = [3, 0, 9, 0, 4, 3, 9, 1].map(event).to_vec();
    let counts = trial.store.rsvp_counts(&asked, &Consistency::Strong).await.unwrap();
    let counts: Vec<_> = counts.iter().map(|count| count.value).collect();
    let expected: Vec<_> = asked.iter().map(|event| model.rsvp_count(event)).collect();
    assert_eq!(counts, expected);
}
