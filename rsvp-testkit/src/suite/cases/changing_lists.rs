//! An entry that stays during a whole listing is listed, while others come and go.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

use rand::Rng;
use rand::rngs::StdRng;
use rsvp_core::{Action, EventId, Page, PageRequest, Result, Rsvp, RsvpStore, UserId, Write};
use tokio::sync::watch;
use tokio::task::{JoinSet, yield_now};

use super::lists::limit;
use crate::calls::outcomes_of;
use crate::ids::{event, user};
use crate::suite::subject::Trial;

/// Reads a listing in small pages, with a batch of changes after each page.
/// Random pairs of `going` are cancelled, and pairs of `coming` are added.
/// Every pair of `held` without a cancel must have been listed.
async fn assert_listed_while_changing<T: Ord + Debug>(
    (trial, rng): (&Trial, &mut StdRng),
    size: usize,
    held: Vec<Rsvp>,
    mut coming: impl FnMut(u32) -> Rsvp,
    mut page: impl AsyncFnMut(PageRequest) -> Result<Page<T>>,
    entry: impl Fn(&Rsvp) -> T,
) {
    // 1. Fill the listing.
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
        // 2. Change it between two pages. Cancelled entries may be before or after the cursor.
        let mut batch = vec![rsvp(coming(step))];
        for _ in 0..3 {
            let going = held[rng.random_range(0..held.len())].clone();
            stays.remove(&going);
            batch.push(Write::new(Action::Cancel, going));
        }
        outcomes_of(&trial.store, &batch).await;
    }
    // 3. An entry that was there all the time must have been listed, once or more.
    for pair in stays {
        assert!(listed.contains(&entry(&pair)), "{pair:?} was there all the time");
    }
}

fn rsvp(rsvp: Rsvp) -> Write {
    Write::new(Action::Rsvp, rsvp)
}

pub(crate) async fn attendees_who_stay_are_listed_while_others_come_and_go(trial: &Trial) {
    let mut rng = trial.rng();
    for round in 0..6_u32 {
        let fair = event(format!("fair {round}"));
        let of = |n| Rsvp::new(user(n), fair.clone());
        let page = async |page| trial.store.attendees_page(&fair, &page).await;
        let held = (0..60).map(of).collect();
        let coming = |step| of(1000 + step);
        assert_listed_while_changing((trial, &mut rng), 5, held, coming, page, |pair| {
            pair.user.clone()
        })
        .await;
    }
}

pub(crate) async fn events_that_stay_are_listed_while_others_come_and_go(trial: &Trial) {
    let mut rng = trial.rng();
    for round in 0..6_u32 {
        let ann = user(format!("ann {round}"));
        let of = |n| Rsvp::new(ann.clone(), event(n));
        let page = async |page| trial.store.events_of_page(&ann, &page).await;
        let held = (0..60).map(of).collect();
        let coming = |step| of(1000 + step);
        assert_listed_while_changing((trial, &mut rng), 5, held, coming, page, |pair| {
            pair.event.clone()
        })
        .await;
    }
}

pub(crate) async fn rsvps_that_stay_are_scanned_while_others_come_and_go(trial: &Trial) {
    let mut rng = trial.rng();
    for round in 0..6_u32 {
        // Events of all sizes. The small ones are emptied soon, and pages end anywhere among them.
        let of = |e: u32, n: u32| Rsvp::new(user(n), event(format!("{round} {e}")));
        let sizes = [1, 40, 50, 2, 1, 13, 7, 1, 3];
        let held =
            (0..).zip(sizes).flat_map(|(e, size)| (0..size).map(move |n| of(e, n))).collect();
        let page = async |page| trial.store.scan_page(&page).await;
        let coming = |step| of(step % 12, 1000 + step);
        let size = [3, 11, 45][round as usize % 3];
        assert_listed_while_changing((trial, &mut rng), size, held, coming, page, Rsvp::clone)
            .await;
    }
}

/// Reads a listing in small pages while it grows to ten times its size, and shrinks again.
/// All of `held` must have been listed.
///
/// A hash table is rebuilt meanwhile, and its entries move.
/// The ids must not be numbers, because some engines keep those in sorted arrays.
async fn assert_listed_while_growing<T: Ord + Debug>(
    trial: &Trial,
    held: Vec<Rsvp>,
    coming: impl Fn(u32) -> Rsvp,
    mut page: impl AsyncFnMut(PageRequest) -> Result<Page<T>>,
    entry: impl Fn(&Rsvp) -> T,
) {
    const AT_ONCE: u32 = 150;
    let setup: Vec<_> = held.iter().cloned().map(rsvp).collect();
    outcomes_of(&trial.store, &setup).await;
    let (mut listed, mut request) = (BTreeSet::new(), limit(20));
    for step in 0.. {
        assert!(step < 1000, "a listing that does not end");
        let Page { items, next, .. } = page(request.clone()).await.unwrap();
        listed.extend(items);
        let Some(cursor) = next else { break };
        request.cursor = Some(cursor);
        // Grow during the first 16 pages, and shrink during the next 16.
        let (action, from) = match step {
            0..16 => (Action::Rsvp, step * AT_ONCE),
            16..32 => (Action::Cancel, (step - 16) * AT_ONCE),
            _ => continue,
        };
        let changed = (from..from + AT_ONCE).map(|n| Write::new(action, coming(n)));
        outcomes_of(&trial.store, &changed.collect::<Vec<_>>()).await;
    }
    for pair in held {
        assert!(listed.contains(&entry(&pair)), "{pair:?} was there all the time");
    }
}

pub(crate) async fn attendees_who_stay_are_listed_while_an_event_grows_and_shrinks(trial: &Trial) {
    let fair = event("fair");
    let of = |name: &str, n: u32| Rsvp::new(user(format!("{name} {n}")), fair.clone());
    let page = async |page| trial.store.attendees_page(&fair, &page).await;
    let held = (0..240).map(|n| of("guest", n)).collect();
    let entry = |pair: &Rsvp| pair.user.clone();
    assert_listed_while_growing(trial, held, |n| of("visitor", n), page, entry).await;
}

pub(crate) async fn events_that_stay_are_listed_while_a_user_gains_and_loses_some(trial: &Trial) {
    let ann = user("ann");
    let of = |name: &str, n: u32| Rsvp::new(ann.clone(), event(format!("{name} {n}")));
    let page = async |page| trial.store.events_of_page(&ann, &page).await;
    let held = (0..240).map(|n| of("concert", n)).collect();
    let entry = |pair: &Rsvp| pair.event.clone();
    assert_listed_while_growing(trial, held, |n| of("party", n), page, entry).await;
}

pub(crate) async fn rsvps_that_stay_are_scanned_while_the_store_grows_and_shrinks(trial: &Trial) {
    let of = |name: &str, n: u32, events: u32| {
        Rsvp::new(user(format!("{name} {n}")), event(format!("fair {}", n % events)))
    };
    let page = async |page| trial.store.scan_page(&page).await;
    let held = (0..240).map(|n| of("guest", n, 40)).collect();
    assert_listed_while_growing(trial, held, |n| of("visitor", n, 400), page, Rsvp::clone).await;
}

/// Writes until the receiver is dropped. Pairs of its own come and go.
async fn come_and_go(
    store: Arc<dyn RsvpStore>,
    (ann, fair): (UserId, EventId),
    name: usize,
    written: watch::Sender<u32>,
) {
    for n in 0_u32.. {
        let id = format!("passes by {name} {}", n % 20);
        let pairs = [Rsvp::new(user(&id), fair.clone()), Rsvp::new(ann.clone(), event(&id))];
        let action = if n % 40 < 20 { Action::Rsvp } else { Action::Cancel };
        outcomes_of(&store, &pairs.map(|pair| Write::new(action, pair))).await;
        if written.is_closed() {
            return;
        }
        written.send_modify(|written| *written += 1);
        // A store that never waits would keep the thread to itself.
        yield_now().await;
    }
}

/// Reads a listing in small pages, with a write between any two of them.
async fn listed_among_writers<T: Ord>(
    written: &mut watch::Receiver<u32>,
    mut page: impl AsyncFnMut(PageRequest) -> Result<Page<T>>,
) -> BTreeSet<T> {
    let (mut listed, mut request) = (BTreeSet::new(), limit(7));
    for step in 0.. {
        assert!(step < 1000, "a listing that does not end");
        let Page { items, next, .. } = page(request.clone()).await.unwrap();
        listed.extend(items);
        let Some(cursor) = next else { break };
        request.cursor = Some(cursor);
        // Wait for a write, so that the next page is read from another state.
        written.changed().await.expect("writers at work");
    }
    listed
}

pub(crate) async fn what_stays_is_listed_among_concurrent_writers(trial: &Trial) {
    let (ann, fair) = (user("ann"), event("fair"));
    let guests: BTreeSet<_> = (0..60).map(|n| user(format!("guest {n}"))).collect();
    let concerts: BTreeSet<_> = (0..60).map(|n| event(format!("concert {n}"))).collect();
    let mut stays: Vec<_> =
        guests.iter().map(|guest| Rsvp::new(guest.clone(), fair.clone())).collect();
    stays.extend(concerts.iter().map(|concert| Rsvp::new(ann.clone(), concert.clone())));
    outcomes_of(&trial.store, &stays.iter().cloned().map(rsvp).collect::<Vec<_>>()).await;

    let ((written, mut writes), mut writers) = (watch::channel(0), JoinSet::new());
    for name in 0..3 {
        let subject = (ann.clone(), fair.clone());
        writers.spawn(come_and_go(trial.either(name), subject, name, written.clone()));
    }
    for round in 0..4 {
        let store = trial.either(round);
        let attendees = listed_among_writers(&mut writes, async |request| {
            store.attendees_page(&fair, &request).await
        });
        let attendees = attendees.await;
        assert!(guests.is_subset(&attendees), "{:?}", guests.difference(&attendees));
        let events = listed_among_writers(&mut writes, async |request| {
            store.events_of_page(&ann, &request).await
        });
        let events = events.await;
        assert!(concerts.is_subset(&events), "{:?}", concerts.difference(&events));
        let all =
            listed_among_writers(&mut writes, async |request| store.scan_page(&request).await);
        let all = all.await;
        assert!(stays.iter().all(|pair| all.contains(pair)), "a scan misses what stays");
    }
    drop(writes);
    writers.join_all().await;
}
