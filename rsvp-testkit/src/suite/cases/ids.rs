//! Ids are checked once and survive everything unchanged.

use rsvp_core::{Error, EventId, UserId, Write};

use crate::calls::outcomes_of;
use crate::ids::{event, hostile_ids, user};
use crate::model::Model;
use crate::suite::subject::Trial;

pub(crate) async fn ids_outside_the_limits_are_refused(_: &Trial) {
    // `wide` has 64 characters but 256 bytes. The limit counts bytes.
    let long = "x".repeat(256);
    let wide = "🎉".repeat(64);
    for id in ["", "\0", "a\0b", "\t", "a\nb", "\r", "\u{1b}[0m", "\u{7f}", "\u{85}", &long, &wide]
    {
        let refused = UserId::new(id).expect_err("an illegal user id");
        assert!(matches!(refused, Error::InvalidInput { field: "user_id", .. }), "{refused}");
        let refused = EventId::new(id).expect_err("an illegal event id");
        assert!(matches!(refused, Error::InvalidInput { field: "event_id", .. }), "{refused}");
    }
    assert!(UserId::from_utf8(b"\xff\xfe").is_err());
}

pub(crate) async fn hostile_ids_survive_unchanged(trial: &Trial) {
    let ids = hostile_ids();
    let mut writes = Vec::new();
    // Each id as a user, as an event, as both, and beside its neighbour in the list.
    for (at, id) in ids.iter().enumerate() {
        writes.push(Write::rsvp(user(id), event(id)));
        writes.push(Write::rsvp(user(id), event("everyone")));
        writes.push(Write::rsvp(user("everywhere"), event(id)));
        writes.push(Write::rsvp(user(id), event(&ids[(at + 1) % ids.len()])));
    }
    let mut model = Model::new();
    let outcomes = outcomes_of(&trial.store, &writes).await;
    assert_eq!(outcomes, model.write_batch(&writes));
    model.assert_held_by(&trial.store).await;

    let cancels: Vec<_> = ids.iter().map(|id| Write::cancel(user(id), event(id))).collect();
    let outcomes = outcomes_of(&trial.store, &cancels).await;
    assert_eq!(outcomes, model.write_batch(&cancels));
    model.assert_held_by(&trial.store).await;
}

pub(crate) async fn ids_that_look_alike_are_different(trial: &Trial) {
    let alike =
        ["Ann", "ann", "ANN", " ann", "ann ", "ann\u{200b}", "Ä", "A\u{308}", "ä", "1", "01"];
    let mut model = Model::new();
    for id in alike {
        let write = Write::rsvp(user(id), event(id));
        let outcomes = outcomes_of(&trial.store, std::slice::from_ref(&write)).await;
        assert_eq!(outcomes, [model.write(&write)], "{id:?}");
    }
    model.assert_held_by(&trial.store).await;
}

pub(crate) async fn pairs_that_join_to_the_same_text_are_different(trial: &Trial) {
    let separators = [
        "", ":", "/", "|", ",", ";", ".", "-", "_", "#", "{", "}", "}{", " ", "::", "%", "'", "\"",
        "\\", "*", "\u{a0}",
    ];
    let mut model = Model::new();
    for (at, s) in separators.iter().enumerate() {
        // If a backend joins user and event to one key, these two pairs have the same key.
        let written = Write::rsvp(user(format!("a{at}{s}b")), event("c"));
        let other = Write::cancel(user(format!("a{at}")), event(format!("b{s}c")));
        for write in [written, other] {
            let outcomes = outcomes_of(&trial.store, std::slice::from_ref(&write)).await;
            assert_eq!(outcomes, [model.write(&write)], "joined by {s:?}");
        }
    }
    model.assert_held_by(&trial.store).await;
}

pub(crate) async fn ids_of_255_bytes_are_kept_whole(trial: &Trial) {
    // The ids differ in their last byte only, so a truncated key would join them.
    let prefix = "x".repeat(254);
    let mut model = Model::new();
    for last in ["a", "b"] {
        for other in ["a", "b"] {
            let write = Write::rsvp(user(prefix.clone() + last), event(prefix.clone() + other));
            let outcomes = outcomes_of(&trial.store, std::slice::from_ref(&write)).await;
            assert_eq!(outcomes, [model.write(&write)]);
        }
    }
    model.assert_held_by(&trial.store).await;
}
