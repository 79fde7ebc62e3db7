//! Audit and repair: a damaged user index is made to follow the truth, also among writers.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::support::raw::Raw;
use crate::support::{differences, event, open, prefix, random, repair, user, write};
use futures_util::TryStreamExt;
use redis::cmd;
use rsvp_core::{
    Cursor, Error, EventId, Finding, Maintenance, PageLimit, PageRequest, Rsvp, RsvpStore,
    RsvpStoreExt, UserId, Write,
};
use rsvp_redis::RedisStore;
use rsvp_testkit::ledger::{Writers, check, lost};
use rsvp_testkit::servers::{RedisCluster, RedisServer};

const USERS: u64 = 60;
const EVENTS: u64 = 10;

struct Damaged {
    raw: Raw,
    store: RedisStore,
    prefix: String,
    missing: u64,
    left_over: u64,
    /// Whether both directions change in one moment, so that nothing else may be repaired.
    exact: bool,
}

impl Damaged {
    async fn standalone() -> Self {
        let server = RedisServer::shared().await;
        Self { exact: true, ..Self::of(Raw::servers(&[server]).await, &server.url(), 1).await }
    }

    async fn cluster() -> Self {
        let cluster = RedisCluster::shared().await;
        Self::of(Raw::cluster(cluster).await, &cluster.url(), 3).await
    }

    /// Each user is coming to half of the events, and some of their lists are damaged.
    async fn of(raw: Raw, url: &str, spread: u16) -> Self {
        let prefix = prefix();
        let store = open(&format!("{url}?prefix={prefix}&event_spread={spread}")).await;
        let quiet = |n| {
            Write::rsvp(
                user(format!("quiet-{}", n / EVENTS)),
                event(format!("quiet-{}", n % EVENTS)),
            )
        };
        let is_in = |n: &u64| (n / EVENTS + n % EVENTS).is_multiple_of(2);
        let rsvps = (0..USERS * EVENTS).filter(is_in).map(quiet);
        write(&store, &rsvps.collect::<Vec<_>>()).await.unwrap();
        let mut damaged = Self { raw, store, prefix, missing: 0, left_over: 0, exact: false };
        for n in (0..USERS).step_by(2) {
            let key = damaged.key(format!("quiet-{n}"));
            match n % 3 {
                0 => {
                    damaged.missing += damaged.ask("HLEN", &[&key]).await;
                    damaged.ask("DEL", &[&key]).await;
                }
                1 => damaged.missing += damaged.ask("HDEL", &[&key, "quiet-0", "quiet-4"]).await,
                _ => {
                    let fields = [&key, "quiet-1", "", "quiet-3", "", "nowhere", ""];
                    damaged.left_over += damaged.ask("HSET", &fields).await;
                }
            }
        }
        // Of users who are nowhere, one of them with more than fits into a page.
        for (name, fields) in [("stranger", 7), ("crowd", 3000)] {
            let mut set = cmd("HSET");
            set.arg(damaged.key(name));
            for n in 0..fields {
                set.arg(format!("event-{n}")).arg("");
            }
            damaged.left_over += damaged.raw.ask::<u64>(&set).await;
        }
        assert!(damaged.missing > 50 && damaged.left_over > 3030);
        damaged
    }

    fn key(&self, user: impl std::fmt::Display) -> String {
        format!("{}:u:{{{user}}}", self.prefix)
    }

    async fn ask(&self, command: &str, words: &[&str]) -> u64 {
        self.raw.ask(cmd(command).arg(words)).await
    }

    /// The pairs by the events, and by the users, of everything that there is a key of.
    async fn both_sides(&self) -> [BTreeSet<Rsvp>; 2] {
        let truth = self.store.scan().try_collect().await.unwrap();
        let mut of_users = BTreeSet::new();
        let start = format!("{}:u:{{", self.prefix);
        for key in self.raw.keys(&self.prefix).await {
            let Some(name) = key.strip_prefix(&start) else { continue };
            let user = UserId::new(name.strip_suffix('}').unwrap()).unwrap();
            let events: Vec<String> = self.raw.ask(cmd("HKEYS").arg(&key)).await;
            of_users.extend(events.into_iter().map(|name| Rsvp::new(user.clone(), event(name))));
        }
        [truth, of_users]
    }

    async fn assert_agreed(&self) {
        let [truth, of_users] = self.both_sides().await;
        let differing: Vec<_> = truth.symmetric_difference(&of_users).collect();
        assert!(differing.is_empty(), "{differing:?}");
        let report = repair(&self.store).await;
        assert_eq!(report.findings, []);
        assert_eq!(report.checked, 2 * truth.len() as u64);
    }
}

async fn it_is_repaired_among_writers(damaged: Damaged) {
    let mut random = random();
    let Damaged { store, missing, left_over, exact, .. } = &damaged;
    let writers = Writers::start(Arc::new(store.clone()), 4, &mut random);
    writers.acknowledge(100).await;
    let found = differences(&repair(store).await.findings);
    println!("{missing} missing, {left_over} left over: {found:?}");
    assert!(found.0 >= *missing && found.1 >= *left_over, "{found:?}");
    assert!(!exact || found == (*missing, *left_over), "{found:?}");
    for round in 0..10 {
        writers.acknowledge(20).await;
        println!("round {round}");
        let report = repair(store).await;
        assert!(!exact || report.findings.is_empty(), "nothing has differed: {report:?}");
    }
    let ledger = writers.stop().await;
    assert_eq!(lost(store, &ledger).await, 0);
    damaged.assert_agreed().await;

    for n in 0..EVENTS {
        let expected = USERS / 2;
        let removal = store.remove_event(&event(format!("quiet-{n}"))).await.unwrap();
        assert_eq!(removal.removed, expected, "nobody wrote to quiet-{n}");
    }
    check(store, &ledger).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_one_server_the_user_index_is_repaired_among_writers() {
    it_is_repaired_among_writers(Damaged::standalone().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_cluster_the_user_index_is_repaired_among_writers() {
    it_is_repaired_among_writers(Damaged::cluster().await).await;
}

/// The pairs that only one side has.
fn differing([truth, of_users]: &[BTreeSet<Rsvp>; 2]) -> BTreeSet<(EventId, Option<UserId>)> {
    let pairs = truth.symmetric_difference(of_users).cloned();
    pairs.map(|pair| (pair.event, Some(pair.user))).collect()
}

/// Steps until there is no next one; the differences that they have repaired.
async fn steps(damaged: &Damaged, limit: usize) -> (u64, u64) {
    let config = damaged.store.config().clone();
    let store = config.with_audit_step(PageLimit::new(limit).unwrap());
    let store = RedisStore::open(store).await.unwrap();
    let entries = damaged.both_sides().await.iter().map(BTreeSet::len).sum::<usize>();
    let (mut cursor, mut steps, mut missing, mut left_over) = (None, 0, 0, 0);
    loop {
        let step = store.repair_step(cursor.as_ref()).await.unwrap();
        assert!(step.checked <= limit as u64, "{step:?}");
        assert!(step.findings.len() as u64 <= step.checked, "{step:?}");
        let found = differences(&step.findings);
        (missing, left_over) = (missing + found.0, left_over + found.1);
        steps += 1;
        assert!(steps <= 3 * entries + 100, "{steps} steps over {entries} entries");
        cursor = step.next;
        if cursor.is_none() {
            println!("{steps} steps of {limit:?} over {entries} entries");
            return (missing, left_over);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_counts_the_same_differences_and_changes_nothing() {
    for damaged in [Damaged::standalone().await, Damaged::cluster().await] {
        let before = damaged.both_sides().await;
        let audited = damaged.store.audit().await.unwrap();
        let expected = (damaged.missing, damaged.left_over);
        assert_eq!(differences(&audited.findings), expected);
        assert_eq!(damaged.both_sides().await, before);
        let repaired = damaged.store.repair().await.unwrap();
        let pairs = |findings: &[Finding]| -> BTreeSet<_> {
            let pair = |one: &Finding| (one.event.clone(), one.user.clone());
            findings.iter().map(pair).collect()
        };
        assert_eq!(pairs(&repaired.findings), pairs(&audited.findings));
        assert_eq!(pairs(&audited.findings), differing(&before));
        assert_eq!(damaged.store.audit().await.unwrap().findings, []);
        damaged.assert_agreed().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_smallest_steps_come_to_an_end() {
    for damaged in [Damaged::standalone().await, Damaged::cluster().await] {
        let crowd = damaged.key("crowd");
        let left_over = damaged.left_over - damaged.ask("HLEN", &[&crowd]).await;
        damaged.ask("DEL", &[&crowd]).await;
        assert_eq!(steps(&damaged, 1).await, (damaged.missing, left_over));
        damaged.assert_agreed().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn larger_steps_find_the_same() {
    for damaged in [Damaged::standalone().await, Damaged::cluster().await] {
        assert_eq!(steps(&damaged, 97).await, (damaged.missing, damaged.left_over));
        damaged.assert_agreed().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cursors_of_others_are_refused() {
    let Damaged { store, .. } = Damaged::standalone().await;
    let config = store.config().clone().with_audit_step(PageLimit::MIN);
    let store = RedisStore::open(config).await.unwrap();
    let request = PageRequest::default().with_limit(PageLimit::MIN);
    let own = store.repair_step(None).await.unwrap().next.unwrap();
    let scan = store.scan_page(&request).await.unwrap().next.unwrap();
    let attendees = store.attendees_page(&event("quiet-0"), &request).await.unwrap().next.unwrap();
    let events_of = store.events_of_page(&user("quiet-1"), &request).await.unwrap().next.unwrap();
    let longer = Cursor::new([own.as_bytes(), b"x"].concat());
    let shorter = Cursor::new(&own.as_bytes()[..own.as_bytes().len() - 1]);
    let others = [scan, attendees, events_of, longer, shorter, Cursor::new("t"), Cursor::new("")];
    for cursor in others {
        let error = store.repair_step(Some(&cursor)).await.unwrap_err();
        let refused = matches!(error, Error::InvalidInput { field: "cursor", .. });
        assert!(refused, "{cursor:?}: {error:?}");
    }
    let request = PageRequest::default().with_cursor(own);
    let error = store.scan_page(&request).await.unwrap_err();
    assert!(matches!(error, Error::InvalidInput { field: "cursor", .. }), "{error:?}");
}
