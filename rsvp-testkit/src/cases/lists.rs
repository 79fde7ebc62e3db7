//! Lists come in pages, and miss nothing.

use std::collections::BTreeSet;
use std::fmt::Debug;

use futures_util::TryStreamExt;
use rsvp_core::{
    Cursor, Error, Page, PageLimit, PageRequest, Result, RsvpStore, RsvpStoreExt, Write,
};

use crate::ids::{event, user};
use crate::{Model, Trial};

fn limit(limit: usize) -> PageRequest {
    PageRequest { limit: PageLimit::new(limit).unwrap(), ..PageRequest::default() }
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
    trial.store.write_batch(&writes).await.unwrap();
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

pub(crate) async fn lists_hold_everything_once_at_any_page_size(trial: &Trial) {
    let model = filled(trial).await;
    for size in [1, 2, 3, 7, 29, 30, 31, 100, 140, 10_000] {
        model.assert_held_in_pages(&trial.store, &limit(size)).await;
    }
}

/// Follows the pages of one listing, and checks the size of each.
async fn assert_pages<T: Debug>(
    size: usize,
    mut page: impl AsyncFnMut(PageRequest) -> Result<Page<T>>,
) {
    let mut request = limit(size);
    loop {
        let Page { items, next } = page(request.clone()).await.unwrap();
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

/// Reads a listing a page at a time, with `change` after each.
async fn listed_while<T: Ord>(
    mut page: impl AsyncFnMut(PageRequest) -> Result<Page<T>>,
    mut change: impl AsyncFnMut(u32),
) -> BTreeSet<T> {
    let mut listed = BTreeSet::new();
    let mut request = limit(5);
    for step in 0.. {
        assert!(step < 1000, "a listing that does not end");
        let Page { items, next } = page(request.clone()).await.unwrap();
        listed.extend(items);
        let Some(cursor) = next else { break };
        request.cursor = Some(cursor);
        change(step).await;
    }
    listed
}

pub(crate) async fn what_is_there_throughout_a_listing_appears(trial: &Trial) {
    let store = &trial.store;
    let (fair, ann) = (event("fair"), user("ann"));
    let mut setup: Vec<_> = (0..60_u32).map(|n| Write::rsvp(user(n), fair.clone())).collect();
    setup.extend((0..60_u32).map(|n| Write::rsvp(ann.clone(), event(n))));
    store.write_batch(&setup).await.unwrap();

    // Every third goes while the list is read, and others come.
    let change = async |step: u32| {
        let going = (step * 3) % 60;
        let batch = [
            Write::cancel(user(going), fair.clone()),
            Write::cancel(ann.clone(), event(going)),
            Write::rsvp(user(1000 + step), fair.clone()),
            Write::rsvp(ann.clone(), event(1000 + step)),
        ];
        store.write_batch(&batch).await.unwrap();
    };
    let stayed = |n: &u32| !n.is_multiple_of(3);

    let users = listed_while(async |page| store.attendees_page(&fair, &page).await, change).await;
    for n in (0..60).filter(stayed) {
        assert!(users.contains(&user(n)), "attendee {n} was there all the time");
    }
    let events = listed_while(async |page| store.events_of_page(&ann, &page).await, change).await;
    for n in (0..60).filter(stayed) {
        assert!(events.contains(&event(n)), "event {n} was there all the time");
    }
    let all = listed_while(async |page| store.scan_page(&page).await, change).await;
    for n in (0..60).filter(stayed) {
        let pairs = [Write::rsvp(user(n), fair.clone()), Write::rsvp(ann.clone(), event(n))];
        for Write { rsvp, .. } in pairs {
            assert!(all.contains(&rsvp), "{rsvp:?} was there all the time");
        }
    }
}

pub(crate) async fn a_cursor_may_be_used_again(trial: &Trial) {
    filled(trial).await;
    let popular = event(4);
    let first = trial.store.attendees_page(&popular, &limit(10)).await.unwrap();
    let request = PageRequest { cursor: first.next, ..PageRequest::default() };
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
}

pub(crate) async fn a_cursor_of_another_listing_is_refused(trial: &Trial) {
    filled(trial).await;
    let (store, popular, busy) = (&trial.store, event(4), user(0));
    let at = |cursor: &Cursor| PageRequest { cursor: Some(cursor.clone()), ..limit(1) };
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

pub(crate) async fn a_cursor_of_nonsense_is_refused(trial: &Trial) {
    filled(trial).await;
    let (store, popular, busy) = (&trial.store, event(4), user(0));
    let nonsense: [&[u8]; 7] = [
        b"\0",
        b"\xff\xff",
        b"a",
        b"a\xff\xff",
        b"nonsense",
        b"\x80nonsense\0\0\0\0",
        &[b'z'; 999],
    ];
    for bytes in nonsense {
        let cursor = Cursor::new(bytes);
        let request = PageRequest { cursor: Some(cursor.clone()), ..limit(1) };
        assert_refused(store.attendees_page(&popular, &request).await, &cursor);
        assert_refused(store.events_of_page(&busy, &request).await, &cursor);
        assert_refused(store.scan_page(&request).await, &cursor);
    }
}
