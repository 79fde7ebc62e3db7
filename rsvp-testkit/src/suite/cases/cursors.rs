//! A cursor belongs to one listing of one subject.

use std::collections::BTreeSet;
use std::fmt::Debug;

use futures_util::TryStreamExt;
use rand::Rng;
use rsvp_core::{Cursor, Effect, Error, Page, PageRequest, Result, RsvpStore, RsvpStoreExt};

use super::lists::{filled, limit};
use crate::ids::{event, user};
use crate::suite::subject::Trial;

pub(crate) async fn a_cursor_may_be_used_again(trial: &Trial) {
    filled(trial).await;
    let popular = event(4);
    let first = trial.store.attendees_page(&popular, &limit(10)).await.unwrap();
    let request = PageRequest::default().with_cursor(first.next);
    assert!(request.cursor.is_some(), "100 attendees do not fit into a page of 10");
    let mut rests = Vec::new();
    for _ in 0..2 {
        let rest: BTreeSet<_> =
            trial.store.attendees_with(&popular, request.clone()).try_collect().await.unwrap();
        rests.push(rest);
    }
    assert_eq!(rests[0], rests[1]);
    let all: BTreeSet<_> = rests[0].iter().cloned().chain(first.items).collect();
    assert_eq!(all.len(), 100);
}

/// A cursor from outside is wrong input, whatever its contents.
fn assert_refused<T: Debug>(page: Result<Page<T>>, cursor: &Cursor) {
    let error = page.expect_err("a cursor that this listing never returned");
    let refused = matches!(error, Error::InvalidInput { field: "cursor", .. });
    assert!(refused, "{error} for {cursor:?}");
    assert_eq!(error.effect(), Effect::NotApplied);
    assert!(!error.is_retryable(), "the cursor will not get better");
}

pub(crate) async fn a_cursor_of_another_listing_is_refused(trial: &Trial) {
    filled(trial).await;
    let (store, popular, busy) = (&trial.store, event(4), user(0));
    let at = |cursor: &Cursor| limit(1).with_cursor(cursor.clone());
    let attendees = store.attendees_page(&popular, &limit(1)).await.unwrap().next.unwrap();
    let events = store.events_of_page(&busy, &limit(1)).await.unwrap().next.unwrap();
    let scan = store.scan_page(&limit(1)).await.unwrap().next.unwrap();
    for cursor in [&attendees, &events] {
        assert_refused(store.scan_page(&at(cursor)).await, cursor);
    }
    for cursor in [&attendees, &scan] {
        assert_refused(store.events_of_page(&busy, &at(cursor)).await, cursor);
    }
    for cursor in [&events, &scan] {
        assert_refused(store.attendees_page(&popular, &at(cursor)).await, cursor);
    }
}

pub(crate) async fn a_cursor_of_another_subject_is_refused(trial: &Trial) {
    filled(trial).await;
    let (store, popular, busy) = (&trial.store, event(4), user(0));
    let mut request = limit(1);
    request.cursor = store.attendees_page(&popular, &request).await.unwrap().next;
    let cursor = request.cursor.clone().expect("100 attendees do not fit into a page of one");
    // Ids that differ in one character or in a trailing blank are other subjects.
    for other in [event(3), event("4 "), event("nobody knows")] {
        assert_refused(store.attendees_page(&other, &request).await, &cursor);
    }
    store.attendees_page(&popular, &request).await.expect("a cursor of this listing");

    request.cursor = None;
    request.cursor = store.events_of_page(&busy, &request).await.unwrap().next;
    let cursor = request.cursor.clone().expect("5 events do not fit into a page of one");
    for other in [user(1), user("0 "), user("nobody knows")] {
        assert_refused(store.events_of_page(&other, &request).await, &cursor);
    }
    store.events_of_page(&busy, &request).await.expect("a cursor of this listing");
}

/// A backend cannot always distinguish its own cursors from invented ones.
/// It either reads or refuses a cursor.
pub(crate) async fn any_cursor_is_read_or_refused(trial: &Trial) {
    filled(trial).await;
    let (store, popular, busy) = (&trial.store, event(4), user(0));
    let mut rng = trial.rng();
    let mut cursors: Vec<Vec<u8>> =
        vec![vec![0], vec![0xff; 2], b"nonsense".into(), vec![b'z'; 999]];
    for listing in [
        store.attendees_page(&popular, &limit(1)).await.unwrap().next.unwrap(),
        store.events_of_page(&busy, &limit(1)).await.unwrap().next.unwrap(),
        store.scan_page(&limit(1)).await.unwrap().next.unwrap(),
    ] {
        // Every shorter cursor, and cursors with one wrong bit.
        let bytes = listing.as_bytes();
        cursors.extend((1..bytes.len()).map(|end| bytes[..end].to_vec()));
        for _ in 0..20 {
            let mut flipped = bytes.to_vec();
            let at = rng.random_range(0..flipped.len());
            flipped[at] ^= 1 << rng.random_range(0..8);
            cursors.push(flipped);
        }
    }
    for bytes in cursors {
        let cursor = Cursor::new(bytes);
        let request = limit(1).with_cursor(cursor.clone());
        assert_read_or_refused(store.attendees_page(&popular, &request).await, &cursor);
        assert_read_or_refused(store.events_of_page(&busy, &request).await, &cursor);
        assert_read_or_refused(store.scan_page(&request).await, &cursor);
    }
}

fn assert_read_or_refused<T: Debug>(page: Result<Page<T>>, cursor: &Cursor) {
    match page {
        Ok(page) => assert!(page.items.len() <= 1),
        Err(_) => assert_refused(page, cursor),
    }
}
