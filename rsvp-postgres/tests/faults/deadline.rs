//! Deadlines are kept, and a write that was not done by its deadline is never done.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use rsvp_core::{
    Deadline, Effect, Error, Label, LabelName, Operation, PageLimit, PageRequest, ReadOptions,
    RsvpStore, RsvpStoreExt, WriteOptions,
};
use rsvp_testkit::servers::{PostgresServer, Proxy};
use tokio::time::{Instant, sleep};

use crate::support::{
    assert_full_capacity, config, event, eventually, held_lock, open, through, user, waits_for_lock,
};

const TIME: Duration = Duration::from_millis(900);
/// The time that a busy machine may add.
const SLACK: Duration = Duration::from_millis(700);

fn soon() -> WriteOptions {
    WriteOptions::default().with_timeout(TIME)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_behind_a_lock_fails_by_its_deadline_and_never_lands() {
    let server = PostgresServer::start().await;
    let store = open(config(&server.url("postgres"))).await;
    let lock = held_lock(&server, "INSERT INTO rsvp.rsvps VALUES ('fair', 'ann')").await;

    let (ann, fair) = (user("ann"), event("fair"));
    let began = Instant::now();
    let error = store.rsvp_with(&ann, &fair, soon()).await.unwrap_err();
    assert!(began.elapsed() < TIME + SLACK, "{:?}", began.elapsed());
    assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    assert_eq!(error.effect(), Effect::NotApplied, "the server has said so");

    lock.release().await;
    assert!(!store.has_rsvped(&ann, &fair).await.unwrap());
    assert_eq!(store.rsvp_count_with(&fair, ReadOptions::strong()).await.unwrap().value, 0);
    assert!(store.rsvp(&ann, &fair).await.unwrap().outcome.is_applied());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_caller_went_away_ends_by_its_deadline() {
    let server = PostgresServer::start().await;
    let store = open(config(&server.url("postgres"))).await;
    let lock = held_lock(&server, "INSERT INTO rsvp.rsvps VALUES ('fair', 'ann')").await;

    let (ann, fair) = (user("ann"), event("fair"));
    let mut call = Box::pin(store.rsvp_with(&ann, &fair, soon()));
    eventually("the call to wait for the lock", async || {
        assert!(call.as_mut().now_or_never().is_none());
        waits_for_lock(&server).await
    })
    .await;
    drop(call);
    eventually("the call to end", async || !waits_for_lock(&server).await).await;

    lock.release().await;
    assert!(!store.has_rsvped(&ann, &fair).await.unwrap());
    let (open, idle) = store.connections();
    assert_eq!(open, idle, "no connection is lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_gets_no_connection_is_refused_by_its_deadline() {
    let server = PostgresServer::start().await;
    // The first write holds the connection for as long as the lock is held.
    let config = config(&server.url("postgres")).with_pool_size(1);
    let store = open(config.with_lock_timeout(Duration::from_secs(60))).await;
    let lock = held_lock(&server, "INSERT INTO rsvp.rsvps VALUES ('fair', 'ann')").await;

    let (ann, fair) = (user("ann"), event("fair"));
    let first = tokio::spawn({
        let (store, ann, fair) = (store.clone(), ann.clone(), fair.clone());
        async move { store.rsvp(&ann, &fair).await }
    });
    eventually("the first to wait for the lock", async || waits_for_lock(&server).await).await;
    let began = Instant::now();
    let error = store.rsvp_with(&user("bob"), &fair, soon()).await.unwrap_err();
    assert!(began.elapsed() < TIME + SLACK, "{:?}", began.elapsed());
    assert_eq!(error.effect(), Effect::NotApplied, "{error:?}");
    lock.release().await;
    assert!(first.await.unwrap().unwrap().outcome.is_applied());
    assert!(!store.has_rsvped(&user("bob"), &fair).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_cannot_connect_is_refused_by_its_deadline() {
    let server = PostgresServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let store = open(config(&through(proxy.port()))).await;
    proxy.refuse().await;
    proxy.cut().await;
    assert!(store.ready().await.is_err(), "no idle connection is left");
    proxy.stall().await;
    let began = Instant::now();
    let error = store.rsvp_with(&user("ann"), &event("fair"), soon()).await.unwrap_err();
    assert!(began.elapsed() < TIME + SLACK, "{:?}", began.elapsed());
    assert_eq!(error.effect(), Effect::NotApplied, "{error:?}");
    proxy.resume().await;
    assert_full_capacity(&store, 1).await;
}

/// Nothing may reach the server, because it would answer every call at once.
#[tokio::test]
async fn a_call_whose_deadline_has_passed_is_not_sent() {
    let server = PostgresServer::start().await;
    let store = open(config(&server.url("postgres"))).await;
    let (ann, fair) = (user("ann"), event("fair"));
    let past = Deadline::at(Instant::now());
    let (write, read) =
        (WriteOptions::default().with_deadline(past), ReadOptions::strong().with_deadline(past));
    let page = PageRequest::new(read.clone());
    let (name, label) = (LabelName::new("shard").unwrap(), Label::new("a").unwrap());
    let errors = [
        store.rsvp_with(&ann, &fair, write.clone()).await.unwrap_err(),
        store.cancel_with(&ann, &fair, write.clone()).await.unwrap_err(),
        store.has_rsvped_with(&ann, &fair, read.clone()).await.unwrap_err(),
        store.rsvp_count_with(&fair, read.clone()).await.unwrap_err(),
        store.attendees_page(&fair, &page).await.unwrap_err(),
        store.events_of_page(&ann, &page).await.unwrap_err(),
        store.scan_page(&page).await.unwrap_err(),
        store.remove_event_step(&fair, PageLimit::MIN, &write).await.unwrap_err(),
        store.remove_user_step(&ann, PageLimit::MIN, &write).await.unwrap_err(),
        store.label(&name, &read).await.unwrap_err(),
        store.replace_label(&name, None, &label, &write).await.unwrap_err(),
    ];
    for error in errors {
        let none = Duration::ZERO;
        assert!(matches!(error, Error::TimedOut { after, .. } if after == none), "{error:?}");
        assert_eq!(error.effect(), Effect::NotApplied, "{error:?}");
    }
    assert!(!store.has_rsvped(&ann, &fair).await.unwrap());
    assert_eq!(store.label(&name, &ReadOptions::strong()).await.unwrap(), None);
}

/// The network holds the statements back until their deadlines have passed, and delivers them then.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_arrives_late_does_nothing() {
    let server = PostgresServer::start().await;
    let proxy = Proxy::start(server.port()).await;
    let store = open(config(&through(proxy.port())).with_pool_size(1)).await;
    let (ann, bob, fair, ball) = (user("ann"), user("bob"), event("fair"), event("ball"));
    let name = LabelName::new("shard").unwrap();
    let (old, new) = (Label::new("old").unwrap(), Label::new("new").unwrap());
    let unlimited = WriteOptions::default();
    for event in [&fair, &ball] {
        store.rsvp(&bob, event).await.unwrap();
    }
    store.replace_label(&name, None, &old, &unlimited).await.unwrap();

    for call in 0..6 {
        proxy.stall().await;
        let options = soon();
        let error = match call {
            0 => store.rsvp_with(&ann, &fair, options).await.unwrap_err(),
            1 => store.cancel_with(&bob, &fair, options).await.unwrap_err(),
            2 => store.remove_event_step(&ball, PageLimit::MAX, &options).await.unwrap_err(),
            3 => store.remove_user_step(&bob, PageLimit::MAX, &options).await.unwrap_err(),
            4 => store.replace_label(&name, Some(&old), &new, &options).await.unwrap_err(),
            _ => {
                let other = LabelName::new("other").unwrap();
                store.replace_label(&other, None, &new, &options).await.unwrap_err()
            }
        };
        assert!(matches!(error.effect(), Effect::Pending(_)), "{call}: {error:?}");
        assert!(error.operation().is_some_and(Operation::is_write));
        // The statement goes to the server now. The next call comes when it is settled.
        proxy.resume().await;
        eventually("the call to be settled", async || {
            let (nobody, nowhere) = (user("nobody"), event("nowhere"));
            let writes = [(&nobody, &fair), (&nobody, &ball), (&bob, &nowhere)];
            let written =
                join_all(writes.iter().map(|(user, event)| store.cancel(user, event))).await;
            written.iter().all(Result::is_ok)
        })
        .await;
    }
    sleep(TIME).await;
    assert!(!store.has_rsvped(&ann, &fair).await.unwrap());
    for event in [&fair, &ball] {
        assert!(store.has_rsvped(&bob, event).await.unwrap());
        assert_eq!(store.rsvp_count_with(event, ReadOptions::strong()).await.unwrap().value, 1);
    }
    let held = server.execute("SELECT name, value FROM rsvp.labels").await;
    assert_eq!(held.trim(), "shard|old");
}
