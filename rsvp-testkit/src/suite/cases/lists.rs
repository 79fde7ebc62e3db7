//! Lists come in pages, and miss nothing.

use std::collections::BTreeSet;
use std::fmt::Debug;

use futures_util::TryStreamExt;
use rand::Rng;
use rsvp_core::{
    Action, Cursor, Effect, Error, Page, PageLimit, PageRequest, Result, Rsvp, RsvpStore,
    RsvpStoreExt, Write,
};

use crate::calls::outcomes_of;
use crate::ids::{event, user};
use crate::model::Model;
use crate::suite::subject::Trial;

fn limit(limit: usize) -> PageRequest {
    PageRequest::default().with_limit(PageLimit::new(limit).unwrap())
}

/// Five events of different sizes, and users who attend several.
fn some_rsvps() -> Vec<Write> {
    let sizes = [(0_u32, 1_u32), (1, 2), (2, 7), (3, 30), (4, 100)];
    let of_event = |(e, size)| (0..size).map(move |u| Write::rsvp(user(u), event(e)));
    sizes.into_iter().flat_map(of_event).collect()
}

async fn filled(trial: &Trial) -> Model {
    let writes = some_rsvps();
    let mut model = Model::new();
    model.write_batch(&writes);
    outcomes_of(&trial.store, &writes).await;
    model
}

pub(crate) async fn a_listing_of_nothing_is_empty(trial: &Trial) {
    let store = &trial.store;
    for size in [1, 1000] {
        let none: Vec<_> =
            store.attendees_with(&event("e"), limit(size)).try_collect().await.unwrap();
        assert_eq!(none, []);
        let none: Vec<_> =
            store.events_of_with(&user("u"), limit(size)).try_collect().await.unwrap();
        assert_eq!(none, []);
        let none: Vec<_> = store.scan_with(limit(size)).try_collect().await.unwrap();
        assert_eq!(none, []);
    }
}

pub(crate) async fn lists_hold_everything_at_any_page_size(trial: &Trial) {
    let model = filled(trial).await;
    for size in [1, 2, 3, 7, 29, 30, 31, 100, 140, 10_000] {
        model.assert_held_in_pages(&trial.store, &limit(size)).await;
    }
}

pub(crate) async fn lists_repeat_nothing_while_nothing_changes(trial: &Trial) {
    filled(trial).await;
    let (store, popular, busy) = (&trial.store, event(4), user(0));
    for size in [1, 7, 100, 10_000] {
        let attendees = store.attendees_with(&popular, limit(size));
        assert_eq!(attendees.try_collect::<Vec<_>>().await.unwrap().len(), 100);
        let events = store.events_of_with(&busy, limit(size));
        assert_eq!(events.try_collect::<Vec<_>>().await.unwrap().len(), 5);
        let all = store.scan_with(limit(size));
        assert_eq!(all.try_collect::<Vec<_>>().await.unwrap().len(), 140);
    }
}

/// Follows the pages of one listing, and checks the size of each.
async fn assert_pages<T: Debug>(
    size: usize,
    mut page: impl AsyncFnMut(PageRequest) -> Result<Page<T>>,
) {
    let mut request = limit(size);
    loop {
        let Page { items, next, .. } = page(request.clone()).await.unwrap();
        assert!(items.len() <= size, "{} items in a page of {size}", items.len());
        match next {
            Some(cursor) => {
                let printed = cursor.to_string();
                assert_eq!(printed.parse::<Cursor>().unwrap(), cursor, "a cursor can travel");
                request.cursor = Some(cursor);
            }
            None => return,
        }
    }
}

pub(crate) async fn pages_hold_at_most_their_limit(trial: &Trial) {
    filled(trial).await;
    let (store, popular, busy) = (&trial.store, event(4), user(0));
    for size in [1, 9, 99] {
        assert_pages(size, async |request| store.attendees_page(&popular, &request).await).await;
        assert_pages(size, async |request| store.events_of_page(&busy, &request).await).await;
        assert_pages(size, async |request| store.scan_page(&request).await).await;
    }
}

/// Reads a listing in small pages, with a batch of changes after each: random pairs of `going`
/// are cancelled, and pairs of `coming` are added. Whatever of `held` was not cancelled must
/// have been listed.
async fn assert_listed_while_changing<T: Ord + Debug>(
    trial: &Trial,
    size: usize,
    held: Vec<Rsvp>,
    mut coming: impl FnMut(u32) -> Rsvp,
    mut page: impl AsyncFnMut(PageRequest) -> Result<Page<T>>,
    entry: impl Fn(&Rsvp) -> T,
) {
    let mut rng = trial.rng();
    let setup: Vec<_> = held.iter().cloned().map(rsvp).collect();
    outcomes_of(&trial.store, &setup).await;
    let mut stays: BTreeSet<_> = held.iter().cloned().collect();
    let mut listed = BTreeSet::new();
    let mut request = limit(size);
    for step in 0.. {
        assert!(step < 1000, "a listing that does not end");
        let Page { items, next, .. } = page(request.clone()).await.unwrap();
        listed.extend(items);
        let Some(cursor) = next else { break };
        request.cursor = Some(cursor);
        let mut batch = vec![rsvp(coming(step))];
        for _ in 0..3 {
            let going = held[rng.random_range(0..held.len())].clone();
            stays.remove(&going);
            batch.push(Write::new(Action::Cancel, going));
        }
        outcomes_of(&trial.store, &batch).await;
    }
    for pair in stays {
        assert!(listed.contains(&entry(&pair)), "{pair:?} was there all the time");
    }
}

fn rsvp(rsvp: Rsvp) -> Write {
    Write::new(Action::Rsvp, rsvp)
}

pub(crate) async fn attendees_who_stay_are_listed_while_others_come_and_go(trial: &Trial) {
    for round in 0..4_u32 {
        let fair = event(format!("fair {round}"));
        let of = |n| Rsvp::new(user(n), fair.clone());
        let page = async |page| trial.store.attendees_page(&fair, &page).await;
        let held = (0..60).map(of).collect();
        let coming = |step| of(1000 + step);
        assert_listed_while_changing(trial, 5, held, coming, page, |pair| pair.user.clone()).await;
    }
}

pub(crate) async fn events_that_stay_are_listed_while_others_come_and_go(trial: &Trial) {
    for round in 0..4_u32 {
        let ann = user(format!("ann {round}"));
        let of = |n| Rsvp::new(ann.clone(), event(n));
        let page = async |page| trial.store.events_of_page(&ann, &page).await;
        let held = (0..60).map(of).collect();
        let coming = |step| of(1000 + step);
        assert_listed_while_changing(trial, 5, held, coming, page, |pair| pair.event.clone()).await;
    }
}

pub(crate) async fn rsvps_that_stay_are_scanned_while_others_come_and_go(trial: &Trial) {
    for round in 0..6_u32 {
        // Events of all sizes, the small ones emptied soon, among which pages end anywhere.
        let of = |e: u32, n: u32| Rsvp::new(user(n), event(format!("{round} {e}")));
        let sizes = [1, 40, 50, 2, 1, 13, 7, 1, 3];
        let held =
            (0..).zip(sizes).flat_map(|(e, size)| (0..size).map(move |n| of(e, n))).collect();
        let page = async |page| trial.store.scan_page(&page).await;
        let coming = |step| of(step % 12, 1000 + step);
        let size = [3, 11, 45][round as usize % 3];
        assert_listed_while_changing(trial, size, held, coming, page, Rsvp::clone).await;
    }
}

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

/// A cursor from outside is wrong input, whatever is in it.
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

/// A backend cannot always tell a cursor of its own from an invented one; but it reads it or
/// refuses it, and nothing else.
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
