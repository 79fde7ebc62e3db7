//! Nothing is left of what was removed.

use std::fs;
use std::time::Duration;

use rsvp_core::{RsvpStore, RsvpStoreExt};
use tokio::time::{Instant, sleep};

use crate::support::{Place, event, fill, user};

/// Whether a text is anywhere in the file or in its log.
fn is_left(place: &Place, text: &str) -> bool {
    let files = [place.path(), place.beside("rsvp.db-wal")];
    files
        .iter()
        .filter_map(|path| fs::read(path).ok())
        .any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
}

/// Waits for the store to be idle, and to tidy up.
async fn is_soon_gone(place: &Place, text: &str) -> bool {
    let begin = Instant::now();
    while is_left(place, text) {
        if begin.elapsed() > Duration::from_secs(20) {
            return false;
        }
        sleep(Duration::from_millis(100)).await;
    }
    true
}

#[tokio::test]
async fn the_bytes_of_a_removed_user_are_gone_from_the_file_and_its_log() {
    let place = Place::new();
    let store = place.open().await;
    fill(&store, 500, 3).await;
    let name = user(123);
    assert!(is_left(&place, name.as_str()));
    store.remove_user(&name).await.unwrap();
    assert!(is_soon_gone(&place, name.as_str()).await);
    assert!(is_left(&place, user(124).as_str()));
}

#[tokio::test]
async fn the_last_cancel_of_an_event_or_a_user_takes_the_name_with_it() {
    let place = Place::new();
    let store = place.open().await;
    fill(&store, 2, 1).await;
    store.rsvp(&user(77), &event(77)).await.unwrap();
    store.cancel(&user(77), &event(77)).await.unwrap();
    let names = "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM events)";
    let names: (i64, i64) =
        place.shell().query_row(names, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(names, (2, 1));
    assert!(is_soon_gone(&place, user(77).as_str()).await);
    assert!(is_soon_gone(&place, event(77).as_str()).await);
}

#[tokio::test]
async fn a_removed_event_takes_the_names_of_those_who_attended_nothing_else() {
    let place = Place::new();
    let store = place.open().await;
    fill(&store, 3000, 1).await;
    store.rsvp(&user(5), &event(1)).await.unwrap();
    assert_eq!(store.remove_event(&event(0)).await.unwrap().removed, 3000);
    let sql = "SELECT group_concat(name) FROM users";
    let left: String = place.shell().query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(left, user(5).as_str());
    assert!(is_soon_gone(&place, user(2999).as_str()).await);
    store.close().await.unwrap();
}
