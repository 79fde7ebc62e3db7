//! A scan goes on while slots move.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::support::mover::{Move, Told, another};
use crate::support::{event, event_key, open, repair, user, write};
use rsvp_core::{PageLimit, PageRequest, Rsvp, RsvpStore, Write};
use rsvp_testkit::servers::RedisCluster;
use tokio::time::sleep;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_shows_everything_when_a_slot_moves_between_two_of_its_pages() {
    let cluster = RedisCluster::start().await;
    let store = open(&cluster.url()).await;
    let pairs: BTreeSet<Rsvp> = (0..300).map(|n| Rsvp::new(user(n), event(n % 60))).collect();
    let rsvp = |pair: &Rsvp| Write::rsvp(pair.user.clone(), pair.event.clone());
    write(&store, &pairs.iter().map(rsvp).collect::<Vec<_>>()).await.unwrap();
    for told in [Told::AllPrimaries, Told::GiverAndTaker].repeat(3) {
        // The nodes are scanned in the order of their slots. This key is in slot 0.
        let first = cluster.primary_of("{06S}").await;
        let limit = PageLimit::new(10).unwrap();
        let mut request = PageRequest::default().with_limit(limit);
        let (mut seen, mut pages, mut moved) = (BTreeSet::new(), 0, false);
        loop {
            let page = store.scan_page(&request).await.unwrap();
            pages += 1;
            seen.extend(page.items.iter().cloned());
            let Some(next) = page.next else { break };
            request.cursor = Some(next);
            let Some(Rsvp { event, .. }) = page.items.last() else { continue };
            let at_work = cluster.primary_of(&event_key(event)).await.port();
            if !moved && at_work != first.port() {
                // From a node that is not at work yet to one that is done.
                let mut left = pairs.difference(&seen).map(|pair| event_key(&pair.event));
                while let (Some(key), false) = (left.next(), moved) {
                    let own = cluster.primary_of(&key).await.port();
                    if ![at_work, first.port()].contains(&own) {
                        Move::begin(&cluster, &key, first).await.finish(told, Duration::ZERO).await;
                        moved = true;
                    }
                }
            }
        }
        println!("{told:?}: {pages} pages");
        assert!(moved, "no slot was moved while the scan was at work");
        let missed: Vec<_> = pairs.difference(&seen).collect();
        assert!(missed.is_empty(), "{missed:?}");
    }
}

/// Slots of many keys move one after another, key by key, while pages are read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_and_an_audit_miss_nothing_during_twenty_moves_of_slots() {
    const SLOTS: usize = 20;
    let cluster = Arc::new(RedisCluster::start().await);
    let store = open(&cluster.url()).await;
    let pairs: BTreeSet<Rsvp> = (0..4_000).map(|n| Rsvp::new(user(n % 50), event(n))).collect();
    let rsvp = |pair: &Rsvp| Write::rsvp(pair.user.clone(), pair.event.clone());
    write(&store, &pairs.iter().map(rsvp).collect::<Vec<_>>()).await.unwrap();
    let moving = tokio::spawn({
        let cluster = Arc::clone(&cluster);
        async move {
            for number in 0..SLOTS {
                let key = event_key(&event(number * 37));
                let taker = another(&cluster, &key).await;
                let moved = Move::begin(&cluster, &key, taker).await;
                sleep(Duration::from_millis(20)).await;
                moved.finish(Told::GiverAndTaker, Duration::from_millis(20)).await;
            }
        }
    });
    let mut scans = 0;
    while !moving.is_finished() || scans == 0 {
        let mut request = PageRequest::default().with_limit(PageLimit::new(40).unwrap());
        let (mut seen, mut listed) = (BTreeSet::new(), 0);
        loop {
            let page = store.scan_page(&request).await.unwrap();
            listed += page.items.len();
            seen.extend(page.items);
            let Some(next) = page.next else { break };
            request.cursor = Some(next);
        }
        let missed: Vec<_> = pairs.difference(&seen).collect();
        assert!(missed.is_empty(), "scan {scans} missed {missed:?}");
        assert_eq!(listed, pairs.len(), "nothing begins again: nothing is listed twice");
        scans += 1;
        let report = repair(&store).await;
        assert_eq!(report.findings, [], "an audit during a move");
        assert_eq!(report.checked, 2 * pairs.len() as u64);
    }
    moving.await.unwrap();
    println!("{scans} scans during {SLOTS} moves");
}
