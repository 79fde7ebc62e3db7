//! Session reads in a coalesced store: a token that nobody has issued is its bearer's alone.

use std::sync::Arc;
use std::time::Duration;

use rsvp_core::layers::{CoalesceConfig, LayerExt};
use rsvp_core::{
    Consistency, EventId, ReadOptions, Result, RsvpStore, RsvpStoreExt, SessionToken, UserId,
};
use rsvp_memory::MemoryStore;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::coalesce::{Coalesced, coalesced, narrow, settle};
use crate::hooked::{Counted, Hook, Hooked};
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

/// Counts take 10 ms, and those with a forged token an hour.
#[derive(Debug, Default)]
struct Slow(MemoryStore);

impl Hook for Slow {
    fn store(&self) -> &MemoryStore {
        &self.0
    }

    async fn count(
        &self,
        _: &[EventId],
        level: &Consistency,
        call: impl Future<Output = Counted> + Send,
    ) -> Counted {
        let forged = matches!(level, Consistency::Session(t) if t.position(1) >= Some(1 << 40));
        let wait = if forged { Duration::from_secs(3600) } else { Duration::from_millis(10) };
        tokio::time::sleep(wait).await;
        call.await
    }
}

#[tokio::test(start_paused = true)]
async fn two_forged_tokens_delay_no_other_session() {
    let store =
        Arc::new(Hooked(Slow::default()).with_coalescing(CoalesceConfig::default()).unwrap());
    let ask = |token: SessionToken| {
        let store = store.clone();
        let options = ReadOptions::session(token).with_timeout(Duration::from_secs(20));
        tokio::spawn(async move { store.rsvp_count_with(&event(1_u64), options).await })
    };
    let _forged = [ask(SessionToken::at(1, u64::MAX)), ask(SessionToken::at(1, u64::MAX - 1))];
    settle().await;
    let began = Instant::now();
    let answer = ask(SessionToken::at(1, 5)).await.unwrap();
    assert!(answer.is_ok(), "after {:?}: {answer:?}", began.elapsed());
}

/// Returns the time of 1,000 concurrent reads, each with a token of its own.
async fn time_of_sessions(store: Arc<impl RsvpStore + 'static>) -> Duration {
    let began = Instant::now();
    let mut calls = JoinSet::new();
    for n in 0..1000 {
        let (store, session) = (store.clone(), ReadOptions::session(SessionToken::at(1, n)));
        calls.spawn(async move { store.rsvp_count_with(&event(1_u64), session).await.unwrap() });
    }
    calls.join_all().await;
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn sessions_of_another_instance_are_not_read_one_after_another() {
    let coalesced = Hooked(Slow::default()).with_coalescing(CoalesceConfig::default()).unwrap();
    let bare = time_of_sessions(Arc::new(Hooked(Slow::default()))).await;
    let coalesced = time_of_sessions(Arc::new(coalesced)).await;
    assert!(coalesced < bare * 2, "bare {bare:?}, coalesced {coalesced:?}");
}
