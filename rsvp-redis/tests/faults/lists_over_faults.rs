//! Lists that are being read show everything that stays, over restarts and promotions.

use std::collections::BTreeSet;

use crate::support::{both, event, eventually, open, user, write};
use rsvp_core::{Page, PageLimit, PageRequest, Result, Rsvp, RsvpStore, UserId, Write};
use rsvp_redis::RedisStore;
use rsvp_testkit::servers::ReplicatedRedis;

const USERS: usize = 3_000;

/// Reads a list to its end, with something happening before its fifth and its tenth page.
async fn read<T: Ord>(
    mut page: impl AsyncFnMut(&PageRequest) -> Result<Page<T>>,
    mut happens: impl AsyncFnMut(),
) -> (BTreeSet<T>, usize) {
    let mut request = PageRequest::default().with_limit(PageLimit::new(100).unwrap());
    let (mut seen, mut pages) = (BTreeSet::new(), 0);
    loop {
        if [4, 9].contains(&pages) {
            happens().await;
        }
        let page = page(&request).await.unwrap();
        pages += 1;
        seen.extend(page.items);
        match page.next {
            None => return (seen, pages),
            Some(next) => request.cursor = Some(next),
        }
    }
}

async fn until_ready(store: &RedisStore) {
    eventually("the store to be ready", async || store.ready().await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_and_a_scan_show_what_stays_over_restarts_and_promotions() {
    let pair = ReplicatedRedis::start().await;
    let store = open(&both(&pair)).await;
    let users: BTreeSet<UserId> = (0..USERS).map(user).collect();
    let rsvp = |user: &UserId| Write::rsvp(user.clone(), event(1));
    write(&store, &users.iter().map(rsvp).collect::<Vec<_>>()).await.unwrap();
    let pairs: BTreeSet<Rsvp> =
        users.iter().map(|user| Rsvp::new(user.clone(), event(1))).collect();
    pair.wait_caught_up().await;
    let restart = async || {
        pair.primary().restart().await;
        until_ready(&store).await;
    };
    let promote = async || {
        pair.wait_caught_up().await;
        pair.fail_over().await;
        until_ready(&store).await;
    };
    let event = event(1);
    let attendees = async |request: &PageRequest| store.attendees_page(&event, request).await;
    let scan = async |request: &PageRequest| store.scan_page(request).await;

    let (seen, pages) = read(attendees, restart).await;
    println!("attendees over restarts: {pages} pages");
    assert!(seen == users, "{} of {USERS} attendees over restarts", seen.len());
    let (seen, pages) = read(scan, restart).await;
    println!("scan over restarts: {pages} pages");
    assert!(seen == pairs, "{} of {USERS} pairs over restarts", seen.len());
    let (seen, pages) = read(attendees, promote).await;
    println!("attendees over promotions: {pages} pages");
    assert!(seen == users, "{} of {USERS} attendees over promotions", seen.len());
    let (seen, pages) = read(scan, promote).await;
    println!("scan over promotions: {pages} pages");
    assert!(seen == pairs, "{} of {USERS} pairs over promotions", seen.len());
}
