//! Session reads in a coalesced store: a token that nobody has issued is its bearer's alone.

use std::sync::Arc;

use rsvp_core::{Consistency, EventId, ReadOptions, Result, RsvpStoreExt, SessionToken, UserId};
use tokio::task::JoinHandle;

use crate::coalesce::{Coalesced, coalesced, narrow, settle};
use crate::probe::Probe;
use crate::{event, user};

#[derive(Clone, Copy)]
enum Kind {
    Membership,
    Count,
}

fn fair() -> EventId {
    event(1_u64)
}

fn ann() -> UserId {
    user(1_u64)
}

fn ask(store: &Coalesced, kind: Kind, token: &SessionToken) -> JoinHandle<Result<()>> {
    let (store, options) = (store.clone(), ReadOptions::session(token.clone()));
    tokio::spawn(async move {
        match kind {
            Kind::Membership => store.has_rsvped_with(&ann(), &fair(), options).await.map(drop),
            Kind::Count => store.rsvp_count_with(&fair(), options).await.map(drop),
        }
    })
}

/// A store with two writes made, and their tokens, the earlier first.
async fn written() -> (Coalesced, Arc<Probe>, [SessionToken; 2]) {
    let (store, probe) = coalesced(narrow());
    let earlier = store.rsvp(&ann(), &fair()).await.unwrap().token;
    let later = store.cancel(&ann(), &fair()).await.unwrap().token;
    assert!(earlier.is_within(&later) && earlier != later);
    probe.asked();
    (store, probe, [earlier, later])
}

/// The numbers of entries and the tokens of what the store was asked, in order.
fn sessions(probe: &Probe) -> Vec<(usize, SessionToken)> {
    let session = |asked: crate::probe::Asked| match asked.consistency {
        Some(Consistency::Session(token)) => (asked.entries, token),
        other => panic!("{other:?}"),
    };
    probe.asked().into_iter().map(session).collect()
}

#[tokio::test(start_paused = true)]
async fn a_forged_token_makes_no_other_read_ask_for_more() {
    for kind in [Kind::Membership, Kind::Count] {
        let (store, probe, [earlier, later]) = written().await;
        let forged = SessionToken::at(probe.origin(), u64::MAX);
        let mut elsewhere = later.clone();
        elsewhere.merge(&SessionToken::at(!probe.origin(), 1));
        probe.shut();
        // The first of each kind goes at once, and the others wait for it.
        let mut calls = vec![ask(&store, kind, &earlier)];
        settle().await;
        for token in [&earlier, &forged, &later, &elsewhere, &forged, &later] {
            calls.push(ask(&store, kind, token));
            settle().await;
        }
        probe.open();
        for call in calls {
            call.await.unwrap().unwrap();
        }
        let asked = sessions(&probe);
        let of = |token: &SessionToken| {
            let own = asked.iter().filter(|(_, asked)| asked == token);
            own.map(|(entries, _)| *entries).collect::<Vec<_>>()
        };
        let entries = |membership, count| match kind {
            Kind::Membership => membership,
            // An event is asked for once.
            Kind::Count => count,
        };
        assert_eq!(of(&earlier), [1], "{asked:?}");
        assert_eq!(of(&later), [entries(3, 1)], "{asked:?}");
        assert_eq!(of(&elsewhere), [1], "{asked:?}");
        assert_eq!(of(&forged), [1, 1], "{asked:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn reads_with_one_token_of_another_instance_share_batches() {
    let (store, probe, _) = written().await;
    let elsewhere = SessionToken::at(!probe.origin(), 9);
    probe.shut();
    let mut calls = vec![ask(&store, Kind::Membership, &elsewhere)];
    settle().await;
    calls.extend((0..50).map(|_| ask(&store, Kind::Membership, &elsewhere)));
    settle().await;
    assert_eq!(sessions(&probe), [(1, elsewhere.clone())], "one at a time");
    probe.open();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(sessions(&probe), [(50, elsewhere)]);
}

#[tokio::test(start_paused = true)]
async fn reads_with_tokens_of_their_own_are_bounded_in_flight() {
    let (store, probe, _) = written().await;
    probe.shut();
    let calls: Vec<_> = (1..=20_u64)
        .map(|n| ask(&store, Kind::Membership, &SessionToken::at(!probe.origin(), n)))
        .collect();
    settle().await;
    assert_eq!(probe.batches(), [1], "one at a time");
    probe.open();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(probe.batches(), [1; 19]);
    assert_eq!(store.pending(), 0);
}
