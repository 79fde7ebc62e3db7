//! A damaged page is an error of the calls that need it, and of no other.

use std::fs;

use rsvp_core::{
    Error, EventId, ReadOptions, Rsvp, RsvpStore, RsvpStoreExt, UserId, Write, WriteOptions,
};
use rsvp_sqlite::{SqliteConfig, SqliteStore};

const EVENTS: u32 = 400;

fn user(n: u32) -> UserId {
    UserId::new(format!("user {n}")).unwrap()
}

fn event(n: u32) -> EventId {
    EventId::new(format!("event {n:04}")).unwrap()
}

#[tokio::test]
async fn a_damaged_page_fails_the_calls_that_need_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rsvp.db");
    let store = SqliteStore::open(SqliteConfig::new(&path)).await.unwrap();
    let all: Vec<_> = (0..EVENTS).map(|n| Write::rsvp(user(n % 50), event(n))).collect();
    store.write_batch(&all, &WriteOptions::default()).await.unwrap().outcomes().unwrap();
    store.close().await.unwrap();
    // 1. Overwrite a page of the index of the events' names.
    let mut bytes = fs::read(&path).unwrap();
    let name = event(200);
    let places: Vec<usize> = bytes
        .windows(name.as_str().len())
        .enumerate()
        .filter(|(_, window)| *window == name.as_str().as_bytes())
        .map(|(at, _)| at)
        .collect();
    assert_eq!(places.len(), 2, "in the table and in the index");
    for at in places {
        let page = at / 1024 * 1024;
        bytes[page..page + 1024].fill(0xa5);
    }
    fs::write(&path, bytes).unwrap();
    // 2. Some calls fail, as corrupt, and the others go on.
    let store = SqliteStore::open(SqliteConfig::new(&path)).await.unwrap();
    let (mut good, mut bad) = (0, 0);
    for n in 0..EVENTS {
        match store.has_rsvped(&user(n % 50), &event(n)).await {
            Ok(held) => {
                assert!(held, "{n}");
                good += 1;
            }
            Err(error) => {
                assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
                assert!(!error.is_retryable());
                bad += 1;
            }
        }
    }
    assert!(good > 300 && bad > 0, "{good} {bad}");
    let pairs: Vec<_> = (0..EVENTS).map(|n| Rsvp::new(user(n % 50), event(n))).collect();
    let options = ReadOptions::strong();
    let answers = store.has_rsvped_batch(&pairs, &options).await.unwrap();
    assert_eq!(answers.iter().filter(|answer| answer.is_err()).count(), bad, "the same ones");
    let events: Vec<_> = (0..EVENTS).map(event).collect();
    let counts = store.rsvp_count_batch(&events, &options).await.unwrap();
    let counted = counts.into_iter().filter_map(Result::ok).filter(|count| count.value == 1);
    assert!(counted.count() >= good / 2, "those on good pages are counted");
    // 3. So do writes, also those of one batch.
    let batch = [Write::rsvp(user(1), event(200)), Write::rsvp(user(1), event(10))];
    let receipt = store.write_batch(&batch, &WriteOptions::default()).await.unwrap();
    let error = receipt.results[0].as_ref().unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    receipt.results[1].as_ref().unwrap();
    let pairs = [Rsvp::new(user(1), event(10))];
    let answers = store.has_rsvped_batch(&pairs, &ReadOptions::strong()).await.unwrap();
    assert!(answers.into_iter().all(|answer| answer.unwrap()));
}
