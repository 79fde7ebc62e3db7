//! Layers from a query, and a layer of a third party among them.

use std::sync::Arc;
use std::time::Duration;

use rsvp_core::layers::{LayerExt, Layers};
use rsvp_core::{Deadline, Effect, Error, Operation, RsvpStore, RsvpStoreExt, WriteOptions};
use tokio::time::{Instant, advance};

use crate::breaker::Breaker;
use crate::probe::{Probe, Reaction};
use crate::{ends, event, user};

fn layered(query: &str) -> (Arc<dyn RsvpStore>, Arc<Probe>) {
    let probe = Probe::new();
    (Layers::from_query(query).unwrap().around(probe.clone()).unwrap(), probe)
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[tokio::test(start_paused = true)]
async fn a_deadline_in_a_query_is_that_of_every_call() {
    let (store, probe) = layered("deadline=300ms");
    let (ann, fair) = (user(1_u64), event(1_u64));
    store.rsvp(&ann, &fair).await.unwrap();
    store.has_rsvped(&ann, &fair).await.unwrap();
    store.rsvp_count(&fair).await.unwrap();
    store.remove_event(&fair).await.unwrap();
    let deadline = Some(Deadline::after(ms(300)));
    assert_eq!(probe.deadlines(), [deadline; 4]);
    let own = Deadline::after(ms(100));
    let options = WriteOptions::default().with_deadline(own);
    store.rsvp_with(&ann, &fair, options).await.unwrap();
    assert_eq!(probe.deadlines(), [Some(own)], "a caller's own may be earlier");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_in_a_query_bounds_all_attempts_and_every_queue() {
    let query = "timeout=1s&retry=2s&limit=4&coalesce=true&count_cache=5s&deadline=1500ms";
    let (store, probe) = layered(query);
    probe.shut_until_the_deadline();
    let (ann, fair) = (user(1_u64), event(1_u64));
    for call in 0..3 {
        let began = Instant::now();
        let error = match call {
            0 => ends(store.rsvp(&ann, &fair)).await.unwrap_err(),
            1 => ends(store.has_rsvped(&ann, &fair)).await.unwrap_err(),
            _ => ends(store.rsvp_count(&fair)).await.unwrap_err(),
        };
        assert_eq!(began.elapsed(), ms(1500), "{error}");
        assert!(error.effect().is_settled(), "the store inside has kept the deadline: {error}");
        assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    }
}

#[test]
fn a_layer_of_a_third_party_takes_forty_lines() {
    assert!(include_str!("breaker.rs").lines().count() <= 40);
}

#[tokio::test(start_paused = true)]
async fn a_layer_of_a_third_party_sees_every_call() {
    let probe = Probe::new();
    let store = probe.clone().with_layer(Breaker::default());
    let (ann, fair) = (user(1_u64), event(1_u64));
    probe.react([Reaction::Fail(Error::unavailable(Operation::Write, Effect::Unknown, None))]);
    store.rsvp(&ann, &fair).await.unwrap_err();
    assert_eq!(probe.asked().len(), 1);
    advance(ms(999)).await;
    for refused in [
        store.rsvp(&ann, &fair).await.map(drop),
        store.has_rsvped(&ann, &fair).await.map(drop),
        store.rsvp_count(&fair).await.map(drop),
        store.remove_user(&ann).await.map(drop),
        store.ready().await,
    ] {
        assert_eq!(refused.unwrap_err().effect(), Effect::NotApplied);
    }
    assert_eq!(probe.asked().len(), 0);
    advance(ms(1)).await;
    store.rsvp(&ann, &fair).await.unwrap();
    assert!(format!("{store:?}").contains("Breaker"), "{store:?}");
}
