//! Whatever the ids, every key is where the documentation says, and nothing is left of it.

use std::collections::BTreeSet;

use crate::support::raw::Raw;
use crate::support::{event, open, prefix, repair, user, write};
use crc::{CRC_16_XMODEM, Crc};
use futures_util::TryStreamExt;
use redis::cmd;
use rsvp_core::{Outcome, PageLimit, PageRequest, Rsvp, RsvpStore, RsvpStoreExt, Write};
use rsvp_redis::RedisStore;
use rsvp_testkit::hostile_ids;
use rsvp_testkit::servers::RedisCluster;

/// As the documentation says, written anew.
fn escaped(id: &str) -> String {
    let escape = |character| match character {
        '%' => "%25".to_owned(),
        '}' => "%7D".to_owned(),
        other => other.to_string(),
    };
    id.chars().map(escape).collect()
}

/// CRC16 modulo the number of slots, which the server is asked to confirm.
fn slot_of(text: &str) -> u16 {
    Crc::<u16>::new(&CRC_16_XMODEM).checksum(text.as_bytes()) % 16_384
}

struct Hostile {
    raw: Raw,
    store: RedisStore,
    prefix: String,
    spread: u16,
}

impl Hostile {
    async fn with_spread(spread: u16) -> Self {
        let cluster = RedisCluster::shared().await;
        let prefix = prefix();
        let url = format!("{}?prefix={prefix}&event_spread={spread}", cluster.url());
        Self { raw: Raw::cluster(cluster).await, store: open(&url).await, prefix, spread }
    }

    /// The slot of a key, as the server computes it.
    async fn slot(&self, key: &str) -> u16 {
        self.raw.ask(cmd("CLUSTER").arg("KEYSLOT").arg(key)).await
    }

    /// The keys of a pair. The part is the slot of the user's id modulo the spread; an id with
    /// braces is put into a tag to have the slot of the whole.
    async fn keys(&self, event: &str, user: &str) -> (String, String) {
        let slot = slot_of(user);
        if !user.contains(['{', '}']) {
            assert_eq!(self.slot(user).await, slot, "the slot of {user:?}");
        }
        let (part, prefix) = (slot % self.spread, &self.prefix);
        (
            format!("{prefix}:e:{{{part}:{}}}", escaped(event)),
            format!("{prefix}:u:{{{}}}", escaped(user)),
        )
    }

    async fn assert_stored(&self, event: &str, user: &str) {
        let (of_event, of_user) = self.keys(event, user).await;
        for (key, tag) in
            [(&of_event, of_event.split_once(":{")), (&of_user, of_user.split_once(":{"))]
        {
            let tag = tag.unwrap().1.strip_suffix('}').unwrap();
            assert_eq!(self.slot(key).await, slot_of(tag), "the slot of {key:?}");
        }
        let is_in: bool = self.raw.ask(cmd("SISMEMBER").arg(&of_event).arg(user)).await;
        assert!(is_in, "{user:?} in {of_event:?}");
        let is_in: bool = self.raw.ask(cmd("HEXISTS").arg(&of_user).arg(event)).await;
        assert!(is_in, "{event:?} in {of_user:?}");
    }

    /// Every key there is belongs to these pairs.
    async fn assert_only(&self, pairs: &BTreeSet<(String, String)>) {
        let mut expected = BTreeSet::from([format!("{}:layout", self.prefix)]);
        for (event, user) in pairs {
            let (of_event, of_user) = self.keys(event, user).await;
            expected.extend([of_event, of_user]);
        }
        assert_eq!(self.raw.keys(&self.prefix).await, expected);
    }

    async fn assert_listed(&self, pairs: &BTreeSet<(String, String)>, limit: PageLimit) {
        let request = PageRequest::default().with_limit(limit);
        let scan = self.store.scan_with(request.clone());
        let scanned: BTreeSet<_> = scan.map_ok(names).try_collect().await.unwrap();
        assert_eq!(scanned, *pairs);
        for (name, _) in pairs {
            let of_event = pairs.iter().filter(|(event, _)| event == name);
            let expected: BTreeSet<_> = of_event.map(|(_, name)| user(name)).collect();
            let name = event(name);
            let listing = self.store.attendees_with(&name, request.clone());
            assert_eq!(listing.try_collect::<BTreeSet<_>>().await.unwrap(), expected, "{name:?}");
        }
        for (_, name) in pairs {
            let of_user = pairs.iter().filter(|(_, user)| user == name);
            let expected: BTreeSet<_> = of_user.map(|(name, _)| event(name)).collect();
            let name = user(name);
            let listing = self.store.events_of_with(&name, request.clone());
            assert_eq!(listing.try_collect::<BTreeSet<_>>().await.unwrap(), expected, "{name:?}");
        }
    }
}

fn names(pair: Rsvp) -> (String, String) {
    (pair.event.as_str().to_owned(), pair.user.as_str().to_owned())
}

async fn every_key_is_where_it_should_be(spread: u16) {
    let hostile = Hostile::with_spread(spread).await;
    let ids = hostile_ids();
    // Each as an event and as a user, with itself, with its neighbour, and with one of each.
    let next = ids.iter().cycle().skip(1);
    let mut pairs = BTreeSet::new();
    for (id, next) in ids.iter().zip(next) {
        pairs.insert((id.clone(), id.clone()));
        pairs.insert((id.clone(), next.clone()));
        pairs.insert((id.clone(), "alice".to_owned()));
        pairs.insert(("101a".to_owned(), id.clone()));
    }
    let rsvps = pairs.iter().map(|(name, id)| Write::rsvp(user(id), event(name)));
    write(&hostile.store, &rsvps.collect::<Vec<_>>()).await.unwrap();
    for (event, user) in &pairs {
        hostile.assert_stored(event, user).await;
    }
    hostile.assert_only(&pairs).await;
    for limit in [PageLimit::new(7).unwrap(), PageLimit::default()] {
        hostile.assert_listed(&pairs, limit).await;
    }
    assert_eq!(repair(&hostile.store).await.findings, []);

    // One in three goes with its event, one in three with its user, the others one by one.
    let (mut of_events, mut of_users) = (ids.iter().step_by(3), ids.iter().skip(1).step_by(3));
    for id in of_events.by_ref() {
        hostile.store.remove_event(&event(id)).await.unwrap();
        pairs.retain(|(event, _)| event != id);
    }
    for id in of_users.by_ref() {
        hostile.store.remove_user(&user(id)).await.unwrap();
        pairs.retain(|(_, user)| user != id);
    }
    hostile.assert_only(&pairs).await;
    let cancels = pairs.iter().map(|(name, id)| Write::cancel(user(id), event(name)));
    let outcomes = write(&hostile.store, &cancels.collect::<Vec<_>>()).await.unwrap();
    assert!(outcomes.into_iter().all(Outcome::is_applied));
    hostile.store.ready().await.unwrap();
    hostile.assert_only(&BTreeSet::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_is_where_the_documentation_says() {
    every_key_is_where_it_should_be(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_of_divided_events_is_where_the_documentation_says() {
    every_key_is_where_it_should_be(4).await;
}

/// Which does not divide the number of slots.
#[tokio::test(flavor = "multi_thread")]
async fn every_key_of_events_in_three_parts_is_where_the_documentation_says() {
    every_key_is_where_it_should_be(3).await;
}
