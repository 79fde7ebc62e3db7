//! What shards have together: cursors, labels, maintenance, and their end.

use std::sync::{Arc, Mutex};

use rsvp_core::layers::{Layers, Shard, ShardedStore};
use rsvp_core::{
    AuditStep, Cursor, Error, Finding, FindingKind, LabelName, Maintenance, Operation, PageLimit,
    PageRequest, ReadOptions, Result, RsvpStore, RsvpStoreExt, Write, WriteOptions, async_trait,
};
use rsvp_memory::MemoryStore;

use crate::hooked::{Hook, Hooked};
use crate::probe::Reaction;
use crate::shard::{failed_shard, sharded};
use crate::{event, user, write_all};

fn is_refused<T>(page: Result<T>) -> bool {
    matches!(page, Err(Error::InvalidInput { field: "cursor", .. }))
}

/// Also where the cursor stands between two shards, and has none of a shard in it.
#[tokio::test]
async fn a_cursor_belongs_to_one_listing_of_one_subject() {
    let (store, _probes) = sharded(4, 4);
    let pairs = (0..40_u32).flat_map(|user| [(user, 1_u64), (user, 2), (1, u64::from(user))]);
    let writes: Vec<_> = pairs.map(|(n, of)| Write::rsvp(user(n), event(of))).collect();
    write_all(&store, &writes).await.unwrap();
    let (mut between, mut within) = (0, 0);
    for limit in 1..40 {
        let limit = PageLimit::new(limit).unwrap();
        let request = PageRequest::default().with_limit(limit);
        let attendees = store.attendees_page(&event(1_u64), &request).await.unwrap().next;
        let events = store.events_of_page(&user(1_u64), &request).await.unwrap().next;
        let scanned = store.scan_page(&request).await.unwrap().next;
        // The tag, the digest of the subject, the last shard that was begun.
        let is_between = |cursor: &Option<Cursor>| {
            cursor.as_ref().is_some_and(|cursor| cursor.as_bytes().len() == 17)
        };
        between += usize::from(is_between(&scanned));
        within += usize::from(!is_between(&attendees));
        for (of, cursor) in [attendees, events, scanned].into_iter().enumerate() {
            let next = request.clone().with_cursor(cursor);
            let pages = [
                is_refused(store.attendees_page(&event(1_u64), &next).await),
                is_refused(store.events_of_page(&user(1_u64), &next).await),
                is_refused(store.scan_page(&next).await),
                is_refused(store.attendees_page(&event(2_u64), &next).await),
                is_refused(store.events_of_page(&user(2_u64), &next).await),
            ];
            if next.cursor.is_none() {
                continue;
            }
            let mut expected = [true; 5];
            expected[of] = false;
            assert_eq!(pages, expected, "{limit:?}");
        }
    }
    assert!(between > 0 && within > 0, "{between} between shards, {within} within one");
}

#[tokio::test]
async fn labels_are_kept_by_the_first_shard() {
    let (store, probes) = sharded(3, 1);
    let name = LabelName::new("placement").unwrap();
    let (one, two) = ("one".parse().unwrap(), "two".parse().unwrap());
    let (read, write) = (ReadOptions::strong(), WriteOptions::default());
    assert_eq!(store.label(&name, &read).await.unwrap(), None);
    assert_eq!(store.replace_label(&name, None, &one, &write).await.unwrap(), None);
    let before = store.replace_label(&name, None, &two, &write).await.unwrap();
    assert_eq!(before.as_ref(), Some(&one), "it is not replaced");
    store.rsvp(&user(1_u64), &event(1_u64)).await.unwrap();
    store.remove_event(&event(1_u64)).await.unwrap();
    store.remove_user(&user(1_u64)).await.unwrap();
    assert_eq!(store.label(&name, &read).await.unwrap().as_ref(), Some(&one));
    let before = store.replace_label(&name, Some(&one), &two, &write).await.unwrap();
    assert_eq!(before.as_ref(), Some(&one));
    let first = store.shards().first().unwrap();
    assert_eq!(first.get_ref().label(&name, &read).await.unwrap().as_ref(), Some(&two));

    let keeps = probes.iter().find(|probe| Arc::ptr_eq(probe, first.get_ref())).unwrap();
    keeps.react([Reaction::Fail(Error::overloaded(Operation::Label))]);
    assert_eq!(failed_shard(&store.label(&name, &read).await.unwrap_err()), first.name());
    keeps.react([Reaction::Fail(Error::overloaded(Operation::ReplaceLabel))]);
    let error = store.replace_label(&name, None, &one, &write).await.unwrap_err();
    assert_eq!(failed_shard(&error), first.name());
}

#[tokio::test]
async fn closing_closes_every_shard() {
    let (store, probes) = sharded(3, 1);
    store.close().await.unwrap();
    for probe in &probes {
        assert!(matches!(probe.store.ready().await, Err(Error::Closed { .. })));
    }
    let error = store.rsvp(&user(1_u64), &event(1_u64)).await.unwrap_err();
    assert!(matches!(error, Error::Closed { .. }), "{error}");
    store.close().await.unwrap();
}

/// A store with a number of wrong counts, of which a step of an audit finds one.
#[derive(Debug, Default)]
struct Derived {
    store: MemoryStore,
    wrong: Mutex<Vec<u32>>,
    fails: bool,
}

impl Hook for Derived {
    fn store(&self) -> &MemoryStore {
        &self.store
    }

    async fn write<T: Send>(
        &self,
        _writes: &[Write],
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        call.await
    }

    fn maintenance(&self) -> Option<&dyn Maintenance> {
        Some(self)
    }
}

impl Derived {
    /// The wrong count after the cursor.
    fn step(&self, operation: Operation, cursor: Option<&Cursor>) -> Result<AuditStep> {
        if self.fails {
            return Err(Error::corrupt(operation, "a hole"));
        }
        let after = cursor.map(|cursor| u32::from(cursor.as_bytes()[0]));
        let wrong = self.wrong.lock().unwrap();
        let mut rest = wrong.iter().filter(|n| after.is_none_or(|after| **n > after));
        let Some(found) = rest.next() else { return Ok(AuditStep::new(1, vec![], None)) };
        let next = rest.next().map(|_| Cursor::new([u8::try_from(*found).unwrap()]));
        let kind = FindingKind::Count { held: 0, counted: 1 };
        Ok(AuditStep::new(1, vec![Finding::new(kind, event(*found), None)], next))
    }
}

#[async_trait]
impl Maintenance for Derived {
    async fn audit_step(&self, cursor: Option<&Cursor>) -> Result<AuditStep> {
        self.step(Operation::Audit, cursor)
    }

    async fn repair_step(&self, cursor: Option<&Cursor>) -> Result<AuditStep> {
        let step = self.step(Operation::Repair, cursor)?;
        let mended = |n: &u32| step.findings.iter().any(|found| found.event == event(*n));
        self.wrong.lock().unwrap().retain(|n| !mended(n));
        Ok(step)
    }
}

/// A store with wrong counts of these events, or one without maintenance.
fn derived(wrong: &[u32], fails: bool) -> Arc<dyn RsvpStore> {
    if wrong.is_empty() && !fails {
        return Arc::new(MemoryStore::new());
    }
    let wrong = Mutex::new(wrong.to_vec());
    Arc::new(Hooked(Derived { store: MemoryStore::new(), wrong, fails }))
}

fn audited(stores: [Arc<dyn RsvpStore>; 3]) -> ShardedStore<Arc<dyn RsvpStore>> {
    let named = (0..).zip(stores).map(|(n, store)| Shard::new(&format!("s{n}"), store));
    ShardedStore::new(named, 1).unwrap()
}

#[tokio::test]
async fn maintenance_goes_through_all_shards_and_all_layers() {
    let stores = [derived(&[1, 2, 5], false), derived(&[], false), derived(&[3, 4], false)];
    let query = "observe=all&timeout=1s&retry=2s&limit=64&coalesce=true&count_cache=5s&deadline=3s";
    let store = Layers::from_query(query).unwrap().around(audited(stores)).unwrap();
    let maintenance = store.maintenance().expect("two of the shards have it");
    let sorted = |findings: Vec<Finding>| {
        let mut events: Vec<_> = findings.into_iter().map(|found| found.event).collect();
        events.sort();
        events
    };
    let all: Vec<_> = (1..6_u32).map(event).collect();
    for _ in 0..2 {
        let audit = maintenance.audit().await.unwrap();
        assert_eq!(
            (sorted(audit.findings), audit.checked),
            (all.clone(), 5),
            "an audit mends nothing"
        );
    }
    assert_eq!(sorted(maintenance.repair().await.unwrap().findings), all);
    assert!(maintenance.audit().await.unwrap().findings.is_empty());
}

#[tokio::test]
async fn a_cursor_of_an_audit_is_of_no_repair_and_of_no_list() {
    let store = audited([derived(&[1, 2], false), derived(&[3, 4], false), derived(&[5], false)]);
    let maintenance = store.maintenance().unwrap();
    let mut step = maintenance.audit_step(None).await.unwrap();
    let mut steps = 1;
    while let Some(cursor) = step.next {
        assert!(is_refused(maintenance.repair_step(Some(&cursor)).await));
        let request = PageRequest::default().with_cursor(cursor.clone());
        assert!(is_refused(store.scan_page(&request).await));
        step = maintenance.audit_step(Some(&cursor)).await.unwrap();
        steps += 1;
    }
    assert_eq!(steps, 5);
}

#[tokio::test]
async fn shards_without_maintenance_have_none_and_one_that_fails_is_named() {
    let none = audited([derived(&[], false), derived(&[], false), derived(&[], false)]);
    assert!(none.maintenance().is_none());
    let store = audited([derived(&[1], false), derived(&[2], true), derived(&[3], false)]);
    let error = store.maintenance().unwrap().audit().await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }) && error.to_string().contains("s1"), "{error}");
    let error = store.maintenance().unwrap().repair().await.unwrap_err();
    assert_eq!(error.operation(), Some(Operation::Repair));
}
