//! The table without async: nothing is left behind, and any interleaving is correct.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Barrier;
use std::thread;

use rsvp_core::{EventId, Outcome, PageLimit, Rsvp, UserId};
use rsvp_memory::{MemoryStore, RsvpTable};

fn everything(table: &RsvpTable) -> Vec<Rsvp> {
    let mut all = Vec::new();
    let mut cursor = None;
    loop {
        let page = table.scan(cursor.as_ref(), PageLimit::default()).unwrap();
        all.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            all.sort();
            return all;
        }
    }
}

fn events_of(table: &RsvpTable, user: &UserId) -> Vec<EventId> {
    table.events_of(user, None, PageLimit::MAX).unwrap().items
}

#[test]
fn the_table_and_its_store_share_their_rsvps() {
    let store = MemoryStore::new();
    let (user, event) = (UserId::from(1), EventId::from(2));
    assert_eq!(store.table().rsvp(&user, &event), Outcome::Applied);
    assert_eq!(store.table().rsvp(&user, &event), Outcome::Unchanged);
    assert!(store.table().has_rsvped(&user, &event));
    assert_eq!(store.table().rsvp_count(&event), 1);
    assert_eq!(store.table().cancel(&user, &event), Outcome::Applied);
    assert_eq!(store.table().cancel(&user, &event), Outcome::Unchanged);
}

#[test]
fn threads_that_meet_on_every_pair_leave_both_directions_agreeing() {
    const THREADS: u64 = 8;
    for round in 0..200 {
        let table = RsvpTable::new();
        let start = Barrier::new(THREADS as usize);
        let moved: i64 = thread::scope(|scope| {
            let work = |thread| {
                let (table, start) = (&table, &start);
                move || {
                    start.wait();
                    let mut moved = 0;
                    for step in 0..40_u64 {
                        let user = UserId::from((step + round) % 3);
                        let event = EventId::from(step % 2);
                        match (step / 2 + thread) % 4 {
                            0 | 1 => moved += i64::from(table.rsvp(&user, &event).is_applied()),
                            2 => moved -= i64::from(table.cancel(&user, &event).is_applied()),
                            _ => {
                                let step = table.remove_user_step(&user, PageLimit::MIN);
                                moved -= i64::try_from(step.removed).unwrap();
                            }
                        }
                    }
                    moved
                }
            };
            let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(work(thread))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        let all = everything(&table);
        assert_eq!(all.len() as i64, moved, "round {round}");
        let counts = (0..2_u64).map(|event| table.rsvp_count(&EventId::from(event))).sum::<u64>();
        assert_eq!(all.len() as u64, counts, "round {round}");
        let mut by_user = Vec::new();
        for user in (0..3_u64).map(UserId::from) {
            let events = events_of(&table, &user);
            by_user.extend(events.into_iter().map(|event| Rsvp::new(user.clone(), event)));
        }
        by_user.sort();
        assert_eq!(all, by_user, "round {round}");
    }
}

#[test]
fn a_scan_among_writers_lists_what_stays() {
    let table = RsvpTable::new();
    let stays: Vec<_> =
        (0..200_u64).map(|n| Rsvp::new(UserId::from(n), EventId::from(n % 20))).collect();
    for pair in &stays {
        assert_eq!(table.rsvp(&pair.user, &pair.event), Outcome::Applied);
    }
    let scanning = Barrier::new(4);
    thread::scope(|scope| {
        for thread in 0..3_u64 {
            let (table, scanning) = (&table, &scanning);
            scope.spawn(move || {
                scanning.wait();
                for n in 0..20_000_u64 {
                    let user = UserId::from(1000 + thread * 1000 + n % 50);
                    let event = EventId::from((n / 7) % 40);
                    table.rsvp(&user, &event);
                    table.cancel(&user, &event);
                }
            });
        }
        scanning.wait();
        for _ in 0..50 {
            let listed = everything(&table);
            assert!(stays.iter().all(|pair| listed.binary_search(pair).is_ok()));
        }
    });
    let mut stays = stays;
    stays.sort();
    assert_eq!(everything(&table), stays);
}
