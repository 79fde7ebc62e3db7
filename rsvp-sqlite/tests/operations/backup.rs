//! Copies of a store that is in use.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rsvp_core::{Error, RsvpStore, RsvpStoreExt};
use rsvp_sqlite::{SqliteConfig, SqliteStore};
use tokio::time::timeout;

use crate::support::{Place, event, fill, user, write_labels};

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_writers_ends_and_is_a_store_of_one_moment() {
    let place = Place::new();
    let store = place.open().await;
    // Much more than one step copies.
    fill(&store, 30_000, 2).await;
    write_labels(&store, 0..1000, None, 'x').await;
    // Writers that never pause: an ordinary online backup begins again after each of their commits.
    let written = Arc::new(AtomicU64::new(0));
    let writer = tokio::spawn({
        let (store, written) = (store.clone(), Arc::clone(&written));
        async move {
            for n in 0.. {
                store.rsvp(&user(n), &event(7)).await.unwrap();
                written.store(n + 1, Ordering::SeqCst);
            }
        }
    });
    let others: Vec<_> = (0..4)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                loop {
                    store.rsvp(&user(n), &event(100 + n)).await.unwrap();
                    store.cancel(&user(n), &event(100 + n)).await.unwrap();
                }
            })
        })
        .collect();
    while written.load(Ordering::SeqCst) < 10 {
        tokio::task::yield_now().await;
    }
    let before = written.load(Ordering::SeqCst);
    let copy = place.beside("copy.db");
    let bytes = timeout(Duration::from_secs(60), store.backup(&copy)).await.unwrap().unwrap();
    let after = written.load(Ordering::SeqCst) + 1;
    writer.abort();
    others.iter().for_each(tokio::task::JoinHandle::abort);
    assert_eq!(fs::metadata(&copy).unwrap().len(), bytes);
    assert!(!place.beside("copy.db-partial").exists());
    assert!(after > before + 1, "calls go on meanwhile");

    let copied = SqliteStore::open(SqliteConfig::new(&copy)).await.unwrap();
    let count = copied.rsvp_count(&event(7)).await.unwrap().value;
    assert!((before..=after).contains(&count), "{before} {count} {after}");
    assert!(copied.has_rsvped(&user(count - 1), &event(7)).await.unwrap());
    assert!(!copied.has_rsvped(&user(count), &event(7)).await.unwrap());
    assert_eq!(copied.rsvp_count(&event(1)).await.unwrap().value, 30_000);
    assert_eq!(copied.maintenance().unwrap().audit().await.unwrap().findings, []);
    let check: String = rusqlite::Connection::open(&copy)
        .unwrap()
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
}

#[tokio::test]
async fn a_backup_replaces_no_file_and_a_partial_one_is_replaced() {
    let place = Place::new();
    let store = place.open().await;
    fill(&store, 10, 1).await;
    let error = store.backup(place.path()).await.unwrap_err();
    assert!(matches!(error, Error::InvalidInput { field: "to", .. }), "{error:?}");
    fs::write(place.beside("copy.db-partial"), "what a crash has left").unwrap();
    store.backup(place.beside("copy.db")).await.unwrap();
    let error = store.backup(place.beside("copy.db")).await.unwrap_err();
    assert!(matches!(error, Error::InvalidInput { field: "to", .. }), "{error:?}");
    let error = store.backup(place.beside("none/copy.db")).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    store.rsvp(&user(100), &event(0)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_nobody_waits_for_ends_and_leaves_nothing() {
    let place = Place::new();
    let store = place.open().await;
    fill(&store, 60_000, 1).await;
    let copy = place.beside("copy.db");
    let _ = timeout(Duration::from_millis(2), store.backup(&copy)).await;
    store.ready().await.unwrap();
    store.close().await.unwrap();
    assert!(!place.beside("copy.db-partial").exists());
}
