//! Queues, deadlines and callers that go away.

use std::time::Duration;

use futures_util::future::join_all;
use rsvp_core::{
    Effect, Error, PageLimit, PageRequest, RsvpStore, RsvpStoreExt, Write, WriteOptions,
};
use rsvp_sqlite::SqliteStore;
use tokio::time::{Instant, timeout};

use crate::support::{Place, event, fill, user};

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_takes_calls_again() {
    let place = Place::new();
    let store = SqliteStore::open(place.config().with_queue(8)).await.unwrap();
    let shell = place.shell();
    shell.execute_batch("BEGIN IMMEDIATE").unwrap();
    // More than one transaction takes, so that some of them wait.
    let (refused, mut first_refused) = tokio::sync::mpsc::channel(40);
    let held = tokio::spawn({
        let store = store.clone();
        async move {
            let calls = (0..40).map(|n| {
                let (store, refused) = (store.clone(), refused.clone());
                async move {
                    let answer = store.rsvp(&user(n), &event(1)).await;
                    if answer.is_err() {
                        refused.send(()).await.unwrap();
                    }
                    answer
                }
            });
            join_all(calls).await
        }
    });
    // Those that are taken wait for the shell. Once one of the others was refused, the queue is full, and
    // stays so.
    first_refused.recv().await.unwrap();
    let error = store.rsvp(&user(99), &event(1)).await.unwrap_err();
    assert!(matches!(error, Error::Overloaded { .. }), "{error:?}");
    shell.execute_batch("COMMIT").unwrap();
    let answers = held.await.unwrap();
    let taken = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!((8..40).contains(&taken), "{taken}");
    assert_eq!(store.rsvp_count(&event(1)).await.unwrap().value, taken as u64);
    store.rsvp(&user(99), &event(1)).await.unwrap();
}

#[tokio::test]
async fn a_write_that_waits_past_its_deadline_is_not_done() {
    let place = Place::new();
    let store = place.open().await;
    let shell = place.shell();
    shell.execute_batch("BEGIN IMMEDIATE").unwrap();
    let options = WriteOptions::default().with_timeout(Duration::from_millis(100));
    let begin = Instant::now();
    let write = [Write::rsvp(user(1), event(1))];
    let receipt = store.write_batch(&write, &options).await.unwrap();
    let error = receipt.outcomes().unwrap_err();
    assert!(begin.elapsed() < Duration::from_millis(400), "{:?}", begin.elapsed());
    assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    assert_eq!(error.effect(), Effect::NotApplied);
    shell.execute_batch("COMMIT").unwrap();
    store.ready().await.unwrap();
    assert!(!store.has_rsvped(&user(1), &event(1)).await.unwrap());
}

#[tokio::test]
async fn a_write_whose_caller_has_gone_is_not_done() {
    let place = Place::new();
    let store = place.open().await;
    let shell = place.shell();
    shell.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (ann, fair) = (user(1), event(1));
    timeout(Duration::from_millis(50), store.rsvp(&ann, &fair)).await.unwrap_err();
    shell.execute_batch("COMMIT").unwrap();
    store.ready().await.unwrap();
    assert!(!store.has_rsvped(&ann, &fair).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_do_not_wait_for_the_writer() {
    let place = Place::new();
    let store = place.open().await;
    fill(&store, 100, 1).await;
    let shell = place.shell();
    shell.execute_batch("BEGIN IMMEDIATE").unwrap();
    let writing = tokio::spawn({
        let store = store.clone();
        async move { store.rsvp(&user(1000), &event(1)).await }
    });
    let reads = async {
        assert!(store.has_rsvped(&user(1), &event(0)).await.unwrap());
        assert_eq!(store.rsvp_count(&event(0)).await.unwrap().value, 100);
        let request = PageRequest::default().with_limit(PageLimit::MAX);
        assert_eq!(store.attendees_page(&event(0), &request).await.unwrap().items.len(), 100);
    };
    timeout(Duration::from_secs(1), reads).await.unwrap();
    shell.execute_batch("COMMIT").unwrap();
    writing.await.unwrap().unwrap();
}

/// A batch that is longer than one transaction takes is not one either: others come in between.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_batch_does_not_hold_up_others_to_its_end() {
    let place = Place::new();
    let store = place.open().await;
    let long = tokio::spawn({
        let store = store.clone();
        async move { fill(&store, 60_000, 1).await }
    });
    let mut between = 0;
    while !long.is_finished() {
        store.rsvp(&user(between), &event(7)).await.unwrap();
        between += 1;
    }
    long.await.unwrap();
    assert!(between > 2, "{between}");
    assert_eq!(store.rsvp_count(&event(0)).await.unwrap().value, 60_000);
}
