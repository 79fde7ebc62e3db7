//! Reads are as fresh as requested, or fresher.

use std::time::Duration;

use futures_util::TryStreamExt;
use rsvp_core::{
    Action, Consistency, EventId, PageRequest, ReadOptions, Rsvp, RsvpStore, RsvpStoreExt,
    SessionToken, UserId, Write,
};

use tokio::time::Instant;

use crate::calls::{all, counts_at, outcomes_and_token, outcomes_of};
use crate::ids::{event, user};
use crate::model::Model;
use crate::suite::subject::Trial;

/// Reads one pair in every way at `consistency`, and checks the number of its appearances.
async fn assert_everywhere(
    store: &dyn RsvpStore,
    (user, event): (&UserId, &EventId),
    consistency: &Consistency,
    present: bool,
) {
    let pair = Rsvp::new(user.clone(), event.clone());
    let request = PageRequest::new(consistency.clone().into());
    let has = store.has_rsvped_with(user, event, consistency.clone()).await.unwrap();
    assert_eq!(has, present, "has_rsvped of {pair:?} at {consistency:?}");
    let count = store.rsvp_count_with(event, consistency.clone()).await.unwrap();
    assert_eq!(count.value, u64::from(present), "count of {event:?} at {consistency:?}");
    let attendees: Vec<_> =
        store.attendees_with(event, request.clone()).try_collect().await.unwrap();
    assert_eq!(attendees.contains(user), present, "attendees at {consistency:?}");
    let events: Vec<_> = store.events_of_with(user, request.clone()).try_collect().await.unwrap();
    assert_eq!(events.contains(event), present, "events_of at {consistency:?}");
    let all: Vec<_> = store.scan_with(request).try_collect().await.unwrap();
    assert_eq!(all.contains(&pair), present, "scan at {consistency:?}");
}

pub(crate) async fn a_strong_read_sees_every_acknowledged_write(trial: &Trial) {
    for n in 0..20_u32 {
        // Write through either store, and read through both.
        let (store, peer) = (trial.either(n as usize), trial.either(n as usize + 1));
        let (user, event) = (user(n), event(n));
        for store in [&store, &peer] {
            assert_everywhere(store, (&user, &event), &Consistency::Strong, false).await;
        }
        store.rsvp(&user, &event).await.unwrap();
        for store in [&peer, &store] {
            assert_everywhere(store, (&user, &event), &Consistency::Strong, true).await;
        }
        peer.cancel(&user, &event).await.unwrap();
        for store in [&store, &peer] {
            assert_everywhere(store, (&user, &event), &Consistency::Strong, false).await;
        }
    }
}

pub(crate) async fn a_session_read_sees_the_writes_behind_its_token(trial: &Trial) {
    for n in 0..20_u32 {
        let (store, peer) = (trial.either(n as usize), trial.either(n as usize + 1));
        let (user, event) = (user(n), event(n));
        // A result read before the write must not be served after it.
        let before = Consistency::Session(SessionToken::new());
        for store in [&store, &peer] {
            store.has_rsvped_with(&user, &event, before.clone()).await.unwrap();
            store.rsvp_count(&event).await.unwrap();
        }
        let session = Consistency::Session(store.rsvp(&user, &event).await.unwrap().token);
        for store in [&peer, &store] {
            assert_everywhere(store, (&user, &event), &session, true).await;
        }
        let session = Consistency::Session(store.cancel(&user, &event).await.unwrap().token);
        for store in [&peer, &store] {
            assert_everywhere(store, (&user, &event), &session, false).await;
        }
    }
}

pub(crate) async fn the_token_of_an_unchanged_write_shows_its_state(trial: &Trial) {
    let (user, event) = (user("ann"), event("fair"));
    // The writes through the store change nothing here. The change came through the peer,
    // and the token must still cover it.
    trial.peer.rsvp(&user, &event).await.unwrap();
    let session = Consistency::Session(trial.store.rsvp(&user, &event).await.unwrap().token);
    assert_everywhere(&trial.peer, (&user, &event), &session, true).await;
    trial.peer.cancel(&user, &event).await.unwrap();
    let session = Consistency::Session(trial.store.cancel(&user, &event).await.unwrap().token);
    assert_everywhere(&trial.peer, (&user, &event), &session, false).await;
}

pub(crate) async fn a_printed_token_still_shows_its_writes(trial: &Trial) {
    let (user, event) = (user("ann"), event("fair"));
    let printed = trial.store.rsvp(&user, &event).await.unwrap().token.to_string();
    assert!(printed.bytes().all(|byte| byte.is_ascii_graphic()), "{printed:?} fits no header");
    assert!(printed.len() <= 1024, "{printed:?} is not small");
    let session = Consistency::Session(printed.parse().unwrap());
    assert_everywhere(&trial.peer, (&user, &event), &session, true).await;
}

pub(crate) async fn merged_tokens_show_the_writes_of_both(trial: &Trial) {
    let (ann, bob, fair, gala) = (user("ann"), user("bob"), event("fair"), event("gala"));
    let first = trial.store.rsvp(&ann, &fair).await.unwrap().token;
    let second = trial.store.rsvp(&bob, &gala).await.unwrap().token;
    // Merge in both orders, because the result must not depend on it.
    for (mut token, other) in [(first.clone(), &second), (second.clone(), &first)] {
        token.merge(other);
        let session = Consistency::Session(token);
        assert_everywhere(&trial.peer, (&ann, &fair), &session, true).await;
        assert_everywhere(&trial.peer, (&bob, &gala), &session, true).await;
    }
}

pub(crate) async fn a_bounded_read_sees_writes_older_than_its_bound(trial: &Trial) {
    let bound = Duration::from_millis(50);
    let bounded = Consistency::Bounded(bound);
    for n in 0..4_u32 {
        let (user, event) = (user(n), event(n));
        assert_everywhere(&trial.peer, (&user, &event), &bounded, false).await;
        // The write is older than the bound after this sleep, so no answer without it is allowed.
        trial.store.rsvp(&user, &event).await.unwrap();
        tokio::time::sleep(bound + Duration::from_millis(1)).await;
        assert_everywhere(&trial.peer, (&user, &event), &bounded, true).await;
        trial.store.cancel(&user, &event).await.unwrap();
        tokio::time::sleep(bound + Duration::from_millis(1)).await;
        assert_everywhere(&trial.peer, (&user, &event), &bounded, false).await;
    }
}

pub(crate) async fn a_bound_of_nothing_is_strong(trial: &Trial) {
    let nothing = Consistency::Bounded(Duration::ZERO);
    for n in 0..10_u32 {
        let (user, event) = (user(n), event(n));
        assert_everywhere(&trial.peer, (&user, &event), &nothing, false).await;
        trial.store.rsvp(&user, &event).await.unwrap();
        assert_everywhere(&trial.peer, (&user, &event), &nothing, true).await;
    }
}

/// Writes through one store and counts through the other at every bound.
/// Each answer must have been true at some moment between its age before the read and the answer.
pub(crate) async fn a_count_was_true_no_longer_ago_than_its_age(trial: &Trial) {
    let fair = event("fair");
    // The earliest moment of truth of each number.
    let mut truth = vec![(Instant::now(), 0_u64)];
    let bounds = [0, 1, 10, 100, 5000].map(Duration::from_millis);
    for n in 0..40_u64 {
        truth.push((Instant::now(), n + 1));
        trial.store.rsvp(&user(n), &fair).await.unwrap();
        for bound in bounds {
            let asked = Instant::now();
            let bounded = Consistency::Bounded(bound);
            let count = trial.peer.rsvp_count_with(&fair, bounded.clone()).await.unwrap();
            assert!(count.age <= bound, "{:?} is older than {bound:?}", count.age);
            assert!(count.value <= n + 1, "{count:?} was never true");
            // The number was replaced when the next one was acknowledged,
            // before the write of the one after that.
            let replaced = truth.get(count.value as usize + 2).map(|(at, _)| *at);
            let recent = replaced.is_none_or(|replaced| replaced + count.age >= asked);
            assert!(recent, "{count:?} is older than it says, the truth being {}", n + 1);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let count = trial.peer.rsvp_count_with(&fair, Consistency::Strong).await.unwrap();
    assert_eq!((count.value, count.age), (40, Duration::ZERO), "a strong count has no age");
}

/// Through the same store, at the default bound. A user looks at the number after a write.
pub(crate) async fn a_write_shows_in_the_next_count(trial: &Trial) {
    let (store, events) = (&trial.store, [event("fair"), event("gala")]);
    let mut model = Model::new();
    let bounded = ReadOptions::bounded(Consistency::DEFAULT_COUNT_BOUND);
    for n in 0..60_u32 {
        let at = |n: u32, by: u32| Rsvp::new(user(n % by), events[n as usize % 2].clone());
        let batch: Vec<_> = (n..n + 1 + n % 4)
            .map(|n| {
                let action = if n % 5 < 3 { Action::Rsvp } else { Action::Cancel };
                Write::new(action, at(n, 7))
            })
            .collect();
        model.write_batch(&batch);
        outcomes_of(store, &batch).await;
        // Removals change counts without a batch of writes, and a cache has to notice them, too.
        if n % 16 == 15 {
            model.remove_event(&events[0]);
            store.remove_event(&events[0]).await.unwrap();
        }
        if n % 24 == 23 {
            model.remove_user(&user(3_u32));
            store.remove_user(&user(3_u32)).await.unwrap();
        }
        let counts = counts_at(store, &events, &bounded).await;
        let expected: Vec<_> = events.iter().map(|event| model.rsvp_count(event)).collect();
        assert_eq!(counts, expected, "after step {n}");
    }
}

pub(crate) async fn an_eventual_read_answers_what_was_committed_once(trial: &Trial) {
    let store = &trial.store;
    let fair = event("fair");
    let mut token = SessionToken::new();
    for n in 0..10_u32 {
        token.merge(&store.rsvp(&user(n), &fair).await.unwrap().token);
        let count = store.rsvp_count_with(&fair, Consistency::Eventual).await.unwrap();
        assert!(count.value <= u64::from(n) + 1, "{count:?} was never true");
        let stranger = user("never there");
        let has = store.has_rsvped_with(&stranger, &fair, Consistency::Eventual).await.unwrap();
        assert!(!has, "a pair that was never written");
    }
    let session = Consistency::Session(token);
    assert_eq!(store.rsvp_count_with(&fair, session.clone()).await.unwrap().value, 10);
}

/// Half of the pairs of some users and events exist. All others never did.
pub(crate) async fn no_read_invents_what_was_never_written(trial: &Trial) {
    let is_written = |n: u32| n % 4 == 1 || n % 7 == 3;
    let pairs: Vec<_> = (0..70_u32).map(|n| Rsvp::new(user(n / 7), event(n % 7))).collect();
    let written: Vec<_> = (0..).zip(&pairs).filter(|(n, _)| is_written(*n)).collect();
    let writes: Vec<_> =
        written.iter().map(|(_, pair)| Write::new(Action::Rsvp, (*pair).clone())).collect();
    let (_, token) = outcomes_and_token(&trial.store, &writes).await;
    let mut model = Model::new();
    model.write_batch(&writes);

    for level in [
        Consistency::Strong,
        Consistency::Session(token),
        Consistency::Bounded(Consistency::DEFAULT_COUNT_BOUND),
        Consistency::Eventual,
    ] {
        for store in [&trial.store, &trial.peer] {
            let options = ReadOptions::from(level.clone());
            let has = all(store.has_rsvped_batch(&pairs, &options).await);
            let invented =
                pairs.iter().zip(has).find(|(pair, has)| *has && !model.has_rsvped(pair));
            assert_eq!(invented, None, "at {level:?}");
            for event in (0..7_u32).map(event) {
                let count = store.rsvp_count_with(&event, options.clone()).await.unwrap();
                assert!(count.value <= model.rsvp_count(&event), "{count:?} at {level:?}");
                let request = PageRequest::new(options.clone());
                let listed: Vec<_> =
                    store.attendees_with(&event, request).try_collect().await.unwrap();
                let known = model.attendees(&event);
                assert!(listed.iter().all(|user| known.contains(user)), "{listed:?} at {level:?}");
            }
            for user in (0..10_u32).map(user) {
                let request = PageRequest::new(options.clone());
                let listed: Vec<_> =
                    store.events_of_with(&user, request).try_collect().await.unwrap();
                let known = model.events_of(&user);
                assert!(
                    listed.iter().all(|event| known.contains(event)),
                    "{listed:?} at {level:?}"
                );
            }
            let scanned = store.scan_with(PageRequest::new(options)).try_collect::<Vec<_>>().await;
            assert!(scanned.unwrap().iter().all(|pair| model.has_rsvped(pair)), "at {level:?}");
        }
    }
}

pub(crate) async fn a_token_stays_small_however_many_writes_it_stands_for(trial: &Trial) {
    let mut session = SessionToken::new();
    for n in 0..300_u32 {
        let receipt = trial.either(n as usize).rsvp(&user(n), &event(n % 3)).await.unwrap();
        session.merge(&receipt.token);
        for token in [&receipt.token, &session] {
            let printed = token.to_string();
            assert!(printed.len() <= 1024, "{} bytes after {n} writes", printed.len());
        }
    }
}
