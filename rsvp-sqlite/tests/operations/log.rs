//! The log does not grow without bound.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rsvp_core::{PageLimit, PageRequest, RsvpStore};

use crate::support::{Place, event, fill, write_labels};

fn length(place: &Place) -> u64 {
    fs::metadata(place.beside("rsvp.db-wal")).map_or(0, |file| file.len())
}

/// Readers that overlap at every moment keep a log from beginning again, unless somebody makes them
/// wait (the report "sqlite.db-wal grows indefinitely" of many services).
#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_bounded_among_readers_that_never_pause() {
    let place = Place::new();
    let store = place.open().await;
    fill(&store, 500, 1).await;
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..8)
        .map(|_| {
            let (store, stop) = (store.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let request = PageRequest::default().with_limit(PageLimit::MAX);
                while !stop.load(Ordering::Relaxed) {
                    store.attendees_page(&event(0), &request).await.unwrap();
                }
            })
        })
        .collect();
    // Each round writes 4 MiB to the log.
    let mut longest = 0;
    let mut before = None;
    for letter in ('a'..='z').cycle().take(30) {
        write_labels(&store, 0..256, before, letter).await;
        before = Some(letter);
        longest = longest.max(length(&place));
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
    println!("longest log: {} MiB", longest >> 20);
    assert!(longest < 90 << 20, "{longest} bytes");
}

#[tokio::test]
async fn an_idle_store_has_its_log_in_the_file() {
    let place = Place::new();
    let store = place.open().await;
    fill(&store, 100, 1).await;
    let before = fs::metadata(place.path()).unwrap().len();
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert!(fs::metadata(place.path()).unwrap().len() > before);
    drop(store);
}

/// Of two connections that are closed at the same time, neither would move the log.
#[tokio::test]
async fn a_closed_store_has_everything_in_the_file_and_no_log() {
    for round in 0..40 {
        let place = Place::new();
        let store = place.open().await;
        fill(&store, 3, 1).await;
        store.close().await.unwrap();
        assert!(!place.beside("rsvp.db-wal").exists(), "round {round}");
    }
}
