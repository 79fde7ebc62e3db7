//! Lists come in pages and are complete.

use std::fmt::Debug;
use std::time::Duration;

use futures_util::TryStreamExt;
use rsvp_core::{
    Consistency, Cursor, Page, PageLimit, PageRequest, Result, RsvpStore, RsvpStoreExt, Write,
};

use crate::calls::{outcomes_and_token, outcomes_of};
use crate::ids::{event, hostile_ids, user};
use crate::model::Model;
use crate::suite::subject::Trial;

/// The first page, with this limit.
pub(super) fn limit(limit: usize) -> PageRequest {
    PageRequest::default().with_limit(PageLimit::new(limit).unwrap())
}

/// Five events of different sizes, and users with several events.
fn some_rsvps() -> Vec<Write> {
    let sizes = [(0_u32, 1_u32), (1, 2), (2, 7), (3, 30), (4, 100)];
    let of_event = |(e, size)| (0..size).map(move |u| Write::rsvp(user(u), event(e)));
    sizes.into_iter().flat_map(of_event).collect()
}

pub(super) async fn filled(trial: &Trial) -> Model {
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
    // Limits below, at and above the sizes of the lists, where off-by-one errors show.
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

/// Each page may end at any point of the listing. The next one begins behind it.
pub(crate) async fn lists_of_hostile_ids_hold_everything_at_any_page_size(trial: &Trial) {
    let (ids, mut model) = (hostile_ids(), Model::new());
    let mut writes = Vec::new();
    for (at, id) in ids.iter().enumerate() {
        writes.push(Write::rsvp(user(id), event("everyone")));
        writes.push(Write::rsvp(user("everywhere"), event(id)));
        writes.push(Write::rsvp(user(id), event(&ids[(at + 1) % ids.len()])));
    }
    model.write_batch(&writes);
    outcomes_of(&trial.store, &writes).await;
    for size in [1, 2] {
        model.assert_held_in_pages(&trial.store, &limit(size)).await;
    }
}

pub(crate) async fn lists_of_ids_that_differ_at_their_end_hold_everything(trial: &Trial) {
    let (long, mut model) = ("x".repeat(250), Model::new());
    let id = |n: u32| format!("{long}{n}");
    let writes: Vec<_> = (0..36).map(|n| Write::rsvp(user(id(n / 6)), event(id(n % 6)))).collect();
    model.write_batch(&writes);
    outcomes_of(&trial.store, &writes).await;
    for size in [1, 2, 5] {
        model.assert_held_in_pages(&trial.store, &limit(size)).await;
    }
}

pub(crate) async fn lists_of_several_pages_are_as_fresh_as_asked(trial: &Trial) {
    let (writes, mut model) = (some_rsvps(), Model::new());
    model.write_batch(&writes);
    let (_, token) = outcomes_and_token(&trial.store, &writes).await;
    for level in
        [Consistency::Strong, Consistency::Session(token), Consistency::Bounded(Duration::ZERO)]
    {
        let request = limit(9).with_consistency(level);
        model.assert_held_in_pages(&trial.peer, &request).await;
    }
    let bound = Duration::from_millis(30);
    tokio::time::sleep(bound).await;
    let request = limit(9).with_consistency(Consistency::Bounded(bound));
    model.assert_held_in_pages(&trial.peer, &request).await;
    // Eventual reads may return any committed state.
    let request = limit(9).with_consistency(Consistency::Eventual);
    let all: Vec<_> = trial.peer.scan_with(request).try_collect().await.unwrap();
    assert!(all.iter().all(|pair| model.has_rsvped(pair)), "a pair that was never written");
}
