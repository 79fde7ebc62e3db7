//! Random sequences of operations, against the model.

use proptest::prelude::*;
use proptest::test_runner::{
    Config, FileFailurePersistence, RngAlgorithm, RngSeed, TestError, TestRunner,
};
use rsvp_core::{
    Action, EventId, PageLimit, PageRequest, Rsvp, RsvpStore, RsvpStoreExt, UserId, Write,
};

use crate::calls::{counts_of, outcomes_of, presence_of};
use crate::ids::{event, user};
use crate::model::Model;
use crate::suite::subject::Trial;

/// Few ids, so that operations meet. Some have different orders as bytes and as text.
const USERS: [&str; 5] = ["ann", "Ann", "é{1}", "z", "0"];
const EVENTS: [&str; 4] = ["fair", "Fair/2", "%", "🎉"];

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<Write>),
    HasRsvped(Vec<Rsvp>),
    Counts(Vec<EventId>),
    Lists(PageLimit),
    RemoveEvent(EventId),
    RemoveUser(UserId),
}

fn users() -> impl Strategy<Value = UserId> {
    proptest::sample::select(&USERS[..]).prop_map(user)
}

fn events() -> impl Strategy<Value = EventId> {
    proptest::sample::select(&EVENTS[..]).prop_map(event)
}

fn pairs() -> impl Strategy<Value = Rsvp> {
    (users(), events()).prop_map(|(user, event)| Rsvp::new(user, event))
}

fn writes() -> impl Strategy<Value = Write> {
    let actions = prop_oneof![2 => Just(Action::Rsvp), 1 => Just(Action::Cancel)];
    (actions, pairs()).prop_map(|(action, rsvp)| Write::new(action, rsvp))
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    use proptest::collection::vec;
    let step = prop_oneof![
        8 => vec(writes(), 0..12).prop_map(Step::Write),
        3 => vec(pairs(), 0..12).prop_map(Step::HasRsvped),
        3 => vec(events(), 0..6).prop_map(Step::Counts),
        2 => (1..8_usize).prop_map(|limit| Step::Lists(PageLimit::new(limit).unwrap())),
        1 => events().prop_map(Step::RemoveEvent),
        1 => users().prop_map(Step::RemoveUser),
    ];
    vec(step, 1..40)
}

/// Removes every event of the alphabet, so that each sequence begins with an empty store.
async fn empty_model(store: &dyn RsvpStore) -> Model {
    let mut model = Model::new();
    for (user_id, event_id) in USERS.iter().zip(EVENTS.iter().cycle()) {
        store.remove_event(&event(event_id)).await.unwrap();
        model.write(&Write::cancel(user(user_id), event(event_id)));
    }
    model
}

async fn assert_step(store: &dyn RsvpStore, model: &mut Model, step: Step) {
    match step {
        Step::Write(batch) => {
            let outcomes = outcomes_of(store, &batch).await;
            assert_eq!(outcomes, model.write_batch(&batch), "{batch:?}");
        }
        Step::HasRsvped(pairs) => {
            let expected: Vec<_> = pairs.iter().map(|pair| model.has_rsvped(pair)).collect();
            assert_eq!(presence_of(store, &pairs).await, expected);
        }
        Step::Counts(events) => {
            let expected: Vec<_> = events.iter().map(|event| model.rsvp_count(event)).collect();
            let counts = counts_of(store, &events).await;
            assert_eq!(counts, expected);
        }
        Step::Lists(limit) => {
            let request = PageRequest::default().with_limit(limit);
            model.assert_held_in_pages(store, &request).await;
        }
        Step::RemoveEvent(event) => {
            let removed = store.remove_event(&event).await.unwrap().removed;
            assert_eq!(removed, model.remove_event(&event), "removing {event:?}");
        }
        Step::RemoveUser(user) => {
            let removed = store.remove_user(&user).await.unwrap().removed;
            assert_eq!(removed, model.remove_user(&user), "removing {user:?}");
        }
    }
}

pub(crate) async fn random_operations_match_the_model(trial: &Trial) {
    let config = Config {
        cases: 48,
        max_shrink_iters: 200,
        rng_algorithm: RngAlgorithm::ChaCha,
        rng_seed: RngSeed::Fixed(trial.seed),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(trial.regressions))),
        ..Config::default()
    };
    // `TestRunner` is synchronous. `block_in_place` lets it wait for the store on this thread.
    let runtime = tokio::runtime::Handle::current();
    let outcome = tokio::task::block_in_place(|| {
        TestRunner::new(config).run(&steps(), |steps| {
            runtime.block_on(async {
                let mut model = empty_model(&trial.store).await;
                for step in steps {
                    assert_step(&trial.store, &mut model, step).await;
                }
                model.assert_held_by(&trial.store).await;
                Ok(())
            })
        })
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(reason, steps)) => panic!("{reason}\nafter {steps:#?}"),
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}
