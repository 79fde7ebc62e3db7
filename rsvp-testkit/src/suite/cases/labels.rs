//! A store keeps labels about itself.

use rsvp_core::{
    Label, LabelName, ReadOptions, Result, RsvpStore, RsvpStoreExt, Write, WriteOptions,
};

use super::races::at_once;
use crate::calls::outcomes_of;
use crate::ids::{HOSTILE_IDS, event, user};
use crate::model::Model;
use crate::suite::subject::Trial;

fn name(name: &str) -> LabelName {
    LabelName::new(name).unwrap()
}

fn label(value: impl Into<String>) -> Label {
    Label::new(value).unwrap()
}

async fn read(store: &dyn RsvpStore, name: &LabelName) -> Option<Label> {
    store.label(name, &ReadOptions::strong()).await.unwrap()
}

/// Replaces a label, and returns its value from before the call.
async fn replace(
    store: &dyn RsvpStore,
    name: &LabelName,
    expected: Option<&Label>,
    value: &Label,
) -> Result<Option<Label>> {
    store.replace_label(name, expected, value, &WriteOptions::default()).await
}

pub(crate) async fn a_label_is_set_if_it_is_absent(trial: &Trial) {
    let (store, shard) = (&trial.store, name("shard"));
    assert_eq!(read(store, &shard).await, None);
    assert_eq!(replace(store, &shard, None, &label("one")).await.unwrap(), None);
    assert_eq!(read(&trial.peer, &shard).await, Some(label("one")));
    let before = replace(&trial.peer, &shard, None, &label("two")).await.unwrap();
    assert_eq!(before, Some(label("one")), "it is there already");
    assert_eq!(read(store, &shard).await, Some(label("one")));
}

pub(crate) async fn a_label_is_replaced_only_if_it_holds_what_was_expected(trial: &Trial) {
    let (store, shard) = (&trial.store, name("shard"));
    let (one, two, three) = (label("one"), label("two"), label("three"));
    assert_eq!(replace(store, &shard, Some(&one), &two).await.unwrap(), None);
    assert_eq!(read(store, &shard).await, None, "nothing is not what was expected");
    replace(store, &shard, None, &one).await.unwrap();
    assert_eq!(replace(store, &shard, Some(&one), &two).await.unwrap(), Some(one.clone()));
    assert_eq!(read(&trial.peer, &shard).await, Some(two.clone()));
    assert_eq!(replace(store, &shard, Some(&one), &three).await.unwrap(), Some(two.clone()));
    assert_eq!(read(store, &shard).await, Some(two));
}

pub(crate) async fn labels_are_kept_whole_and_apart(trial: &Trial) {
    let store = &trial.store;
    let mut labels = vec![
        (name("a"), label("lower case")),
        (name("A"), label("upper case")),
        (name(&"n".repeat(64)), label("x".repeat(Label::MAX_BYTES))),
        (name(&("n".repeat(63) + "m")), label("é".repeat(Label::MAX_BYTES / 2))),
        (name("a.b_c-d"), label("ends in a blank ")),
    ];
    let hostile = HOSTILE_IDS.iter().enumerate();
    labels.extend(hostile.map(|(at, value)| (name(&format!("hostile-{at}")), label(*value))));
    for (name, label) in &labels {
        assert_eq!(replace(store, name, None, label).await.unwrap(), None, "{name}");
    }
    for (name, label) in labels {
        assert_eq!(read(&trial.peer, &name).await, Some(label), "{name}");
    }
}

pub(crate) async fn labels_are_no_rsvps_and_no_removal_touches_them(trial: &Trial) {
    let (store, mut model) = (&trial.store, Model::new());
    // Labels with the names of users and events. A removal by name could take them.
    let labels = ["label", "labels", "fair", "0"].map(|text| (name(text), label(text)));
    for (name, label) in &labels {
        replace(store, name, None, label).await.unwrap();
    }
    for id in ["label", "labels", "fair", "0"] {
        let rsvps = [Write::rsvp(user(id), event(id)), Write::rsvp(user("ann"), event(id))];
        model.write_batch(&rsvps);
        outcomes_of(store, &rsvps).await;
    }
    model.assert_held_by(store).await;
    for id in ["label", "labels", "fair", "0"] {
        assert_eq!(store.remove_event(&event(id)).await.unwrap().removed, 2);
        assert_eq!(store.remove_user(&user(id)).await.unwrap().removed, 0);
        model.remove_event(&event(id));
    }
    model.assert_held_by(store).await;
    for (name, label) in labels {
        assert_eq!(read(store, &name).await.as_ref(), Some(&label), "{name}");
        assert_eq!(read(&trial.peer, &name).await, Some(label), "{name}");
    }
}

pub(crate) async fn one_of_many_concurrent_replacements_of_a_label_wins(trial: &Trial) {
    let shard = name("shard");
    let mut held = None;
    for round in 0..5 {
        // All replace the same value, so the second one finds another value than it expects.
        let tried = at_once(12, |number| {
            let (store, shard, expected) = (trial.either(number), shard.clone(), held.clone());
            async move {
                let value = label(format!("{round} {number}"));
                let before = replace(&store, &shard, expected.as_ref(), &value).await.unwrap();
                (before == expected, value)
            }
        })
        .await;
        let winners: Vec<_> = tried.into_iter().filter(|(won, _)| *won).collect();
        assert_eq!(winners.len(), 1, "round {round}");
        held = Some(winners[0].1.clone());
        assert_eq!(read(&trial.store, &shard).await, held, "round {round}");
    }
}
