//! One shard of four is down: its own entries fail, and nothing else does, whatever layers are
//! around the shards.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rsvp_core::layers::{Layers, Placement, Shard, ShardedStore};
use rsvp_core::{EventId, ReadOptions, Result, Rsvp, RsvpStore, RsvpStoreExt, Write, WriteOptions};
use tokio::time::{Instant, sleep};

use crate::probe::Probe;
use crate::shard::failed_shard;
use crate::{counts, event, present, user, write_all};

/// The layers, one by one and all together.
const LAYERS: [&str; 8] = [
    "",
    "retry=100ms",
    "timeout=100ms",
    "coalesce=true",
    "count_cache=5s",
    "observe=shards",
    "limit=64",
    "observe=shards&timeout=100ms&retry=250ms&limit=64&coalesce=true&count_cache=5s&deadline=400ms",
];

/// The shard that is down.
const DOWN: &str = "s1";

/// How long a caller waits.
const PATIENCE: Duration = Duration::from_millis(500);

/// What is the matter with the shard.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Trouble {
    Refuses,
    /// It answers nothing until the deadline of a call.
    Hangs,
}

struct Shards {
    store: Arc<dyn RsvpStore>,
    placement: Placement,
    down: Arc<Probe>,
}

/// Four shards, with layers around each and around all, of which one is down.
fn shards(each: &str, whole: &str, spread: usize, trouble: Trouble) -> Shards {
    let (each, whole) = (Layers::from_query(each).unwrap(), Layers::from_query(whole).unwrap());
    let probes = [(); 4].map(|()| Probe::new());
    let named = (0..)
        .zip(&probes)
        .map(|(n, probe)| Shard::new(&format!("s{n}"), each.around(probe.clone()).unwrap()));
    let store = ShardedStore::new(named, spread).unwrap();
    let placement = store.placement().clone();
    let down = probes[1].clone();
    match trouble {
        Trouble::Refuses => down.set_down(true),
        Trouble::Hangs => down.shut_until_the_deadline(),
    }
    Shards { store: whole.around(store).unwrap(), placement, down }
}

impl Shards {
    /// Checks that exactly the entries for which `is_down` holds have failed, by the fault of that
    /// shard, and returns how many these are.
    fn check<E, A: std::fmt::Debug>(
        &self,
        trouble: Trouble,
        entries: &[E],
        results: &[Result<A>],
        is_down: impl Fn(&E) -> bool,
        arrangement: &str,
    ) -> usize {
        assert_eq!(entries.len(), results.len(), "{arrangement}");
        for (entry, result) in entries.iter().zip(results) {
            assert_eq!(is_down(entry), result.is_err(), "{arrangement}: {result:?}");
            if let (Err(error), Trouble::Refuses) = (result, trouble) {
                assert_eq!(failed_shard(error), DOWN, "{arrangement}");
            }
        }
        results.iter().filter(|result| result.is_err()).count()
    }

    fn has_part_of(&self, event: &EventId) -> bool {
        self.placement.shards_of(event).contains(&DOWN)
    }
}

async fn exactly_its_entries_fail(each: &str, whole: &str, spread: usize, trouble: Trouble) {
    let arrangement = format!("each {each:?}, whole {whole:?}, spread {spread}, {trouble:?}");
    let shards = shards(each, whole, spread, trouble);
    let pairs: Vec<_> = (0..60_u32).map(|n| Rsvp::new(user(n), event(n % 30))).collect();
    let writes: Vec<_> =
        pairs.iter().map(|pair| Write::rsvp(pair.user.clone(), pair.event.clone())).collect();
    let events: Vec<_> = (0..30_u32).map(event).collect();
    let lives_there = |pair: &Rsvp| shards.placement.shard_of(pair) == DOWN;
    let (read, write) = (ReadOptions::strong(), WriteOptions::default());

    let began = Instant::now();
    let receipt = shards.store.write_batch(&writes, &write.with_timeout(PATIENCE)).await.unwrap();
    let is_down = |write: &Write| lives_there(&write.rsvp);
    let failed = shards.check(trouble, &writes, &receipt.results, is_down, &arrangement);
    assert!((1..59).contains(&failed), "{failed} of 60 writes are of one shard");

    let held = shards.store.has_rsvped_batch(&pairs, &read.with_timeout(PATIENCE)).await.unwrap();
    shards.check(trouble, &pairs, &held, lives_there, &arrangement);
    assert!(held.into_iter().flatten().all(|held| held), "{arrangement}");

    let bounded = ReadOptions::bounded(Duration::from_secs(5)).with_timeout(PATIENCE);
    let counted = shards.store.rsvp_count_batch(&events, &bounded).await.unwrap();
    let is_down = |event: &EventId| shards.has_part_of(event);
    shards.check(trouble, &events, &counted, is_down, &arrangement);
    assert!(counted.into_iter().flatten().all(|count| count.value == 2), "{arrangement}");
    assert!(began.elapsed() <= 3 * PATIENCE, "{arrangement}: {:?}", began.elapsed());

    // Once it is back, all that failed can be repeated.
    shards.down.set_down(false);
    shards.down.open();
    write_all(&*shards.store, &writes).await.unwrap();
    // A count that is being read, by whatever caller, may be in a pause before its next attempt.
    sleep(PATIENCE).await;
    assert_eq!(present(&*shards.store, &pairs).await.unwrap(), [true; 60], "{arrangement}");
    let counted = counts(&*shards.store, &events, ReadOptions::bounded(Duration::from_secs(5)))
        .await
        .unwrap();
    assert!(counted.iter().all(|count| count.value == 2), "{arrangement}");
}

#[tokio::test(start_paused = true)]
async fn with_layers_around_each_shard_exactly_its_entries_fail() {
    for trouble in [Trouble::Refuses, Trouble::Hangs] {
        for layers in LAYERS {
            for spread in [1, 2] {
                exactly_its_entries_fail(layers, "", spread, trouble).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn with_layers_around_all_shards_exactly_its_entries_fail() {
    for trouble in [Trouble::Refuses, Trouble::Hangs] {
        for layers in LAYERS {
            for spread in [1, 2] {
                exactly_its_entries_fail("", layers, spread, trouble).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn with_layers_around_each_and_all_exactly_its_entries_fail() {
    for trouble in [Trouble::Refuses, Trouble::Hangs] {
        for each in LAYERS {
            for whole in LAYERS {
                exactly_its_entries_fail(each, whole, 2, trouble).await;
            }
        }
    }
}

/// Of single calls, each in a batch of many callers.
#[tokio::test(start_paused = true)]
async fn callers_of_other_shards_notice_nothing_in_a_shared_batch() {
    for layers in ["coalesce=true", "retry=100ms&coalesce=true&count_cache=5s"] {
        let shards = shards("", layers, 1, Trouble::Refuses);
        let calls: Vec<_> = (0..200_u32)
            .map(|n| {
                let (store, pair) = (shards.store.clone(), Rsvp::new(user(n), event(n % 30)));
                tokio::spawn(async move {
                    let written = store.rsvp(&pair.user, &pair.event).await;
                    let held = store.has_rsvped(&pair.user, &pair.event).await;
                    let counted = store.rsvp_count(&pair.event).await;
                    (pair, [written.is_err(), held.is_err(), counted.is_err()])
                })
            })
            .collect();
        let mut seen = BTreeSet::new();
        for call in calls {
            let (pair, failed) = call.await.unwrap();
            let is_down = shards.placement.shard_of(&pair) == DOWN;
            assert_eq!(failed, [is_down; 3], "{layers}: {pair:?}");
            seen.insert(is_down);
        }
        assert_eq!(seen.len(), 2, "some of each");
    }
}
