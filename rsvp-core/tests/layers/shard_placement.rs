//! Shards that know their names and their placement.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rsvp_core::layers::{Placement, Shard, ShardedStore};
use rsvp_core::{
    Deadline, Effect, Error, Label, LabelName, Operation, ReadOptions, Result, RsvpStore,
    RsvpStoreExt, WriteOptions,
};
use rsvp_memory::MemoryStore;

use crate::probe::{Probe, Reaction};
use crate::shard::failed_shard;
use crate::{ends, event, user};

type Stores = Vec<Arc<Probe>>;

fn stores(count: usize) -> Stores {
    (0..count).map(|_| Probe::new()).collect()
}

/// The stores under these names, with weights where a name is followed by one.
fn sharded(named: &str, stores: &[Arc<Probe>], spread: usize) -> ShardedStore<Arc<Probe>> {
    let shards = named.split(' ').zip(stores).map(|(name, store)| {
        let (name, weight) = name.split_once('*').unwrap_or((name, "1"));
        Shard::new(name, store.clone()).with_weight(weight.parse().unwrap())
    });
    ShardedStore::new(shards, spread).unwrap()
}

async fn verify(named: &str, stores: &[Arc<Probe>], spread: usize) -> Result<()> {
    sharded(named, stores, spread).verify_placement(&WriteOptions::default()).await
}

async fn accept(named: &str, stores: &[Arc<Probe>], spread: usize) -> Result<()> {
    sharded(named, stores, spread).accept_placement(&WriteOptions::default()).await
}

fn label_of_shards() -> LabelName {
    LabelName::new("rsvp.shard").unwrap()
}

/// The labels of the stores themselves.
async fn labels(stores: &[Arc<Probe>]) -> Vec<Option<String>> {
    let (name, strong) = (label_of_shards(), ReadOptions::strong());
    let mut labels = Vec::new();
    for store in stores {
        let label = store.store.label(&name, &strong).await.unwrap();
        labels.push(label.map(|label| label.to_string()));
    }
    labels
}

/// The operations that the stores were asked for since this was last called.
fn asked(stores: &[Arc<Probe>]) -> Vec<Operation> {
    stores.iter().flat_map(|store| store.asked()).map(|asked| asked.operation).collect()
}

fn refused(field: &str, opened: Result<()>) -> String {
    match opened {
        Err(Error::InvalidInput { field: own, reason, .. }) if own == field => reason,
        other => panic!("not refused for its {field}: {other:?}"),
    }
}

/// Computed by another implementation of XXH3, that of the Python package `xxhash`.
#[test]
fn fingerprints_are_pinned_in_any_order_of_the_shards() {
    let many: Vec<_> = (0..64).map(|n| (format!("s{n}"), 1.0 + f64::from(n) / 4.0)).collect();
    let one = |name: &str, weight| (name.to_owned(), weight);
    for (shards, spread, fingerprint) in [
        (vec![one("eu1", 1.0), one("eu2", 2.5)], 2, 0x8ae3_cb77_7a90_24f3),
        (vec![one("a", 1.0)], 1, 0xcc9a_9c18_80f6_1972),
        (many, usize::MAX, 0xc4a1_c380_af59_4eb4),
    ] {
        let reversed: Vec<_> = shards.iter().cloned().rev().collect();
        for shards in [shards, reversed] {
            let placement = Placement::new(shards, spread).unwrap();
            assert_eq!(placement.fingerprint(), fingerprint, "{placement:?}");
        }
    }
}

#[tokio::test]
async fn the_same_list_opens_in_any_order_and_writes_once() {
    let stores = stores(3);
    verify("a b*2 c", &stores, 2).await.unwrap();
    assert_eq!(asked(&stores).iter().filter(|asked| asked.is_write()).count(), 3);
    assert_eq!(
        labels(&stores).await[1].as_deref(),
        Some("name=b placement=f0beea58cb1654b2 spread=2 shards=a,b*2,c")
    );
    let reversed: Stores = stores.iter().rev().cloned().collect();
    for (named, stores) in [("a b*2 c", &stores), ("c b*2.0 a", &reversed)] {
        verify(named, stores, 2).await.unwrap();
        accept(named, stores, 2).await.unwrap();
        assert_eq!(asked(stores), [Operation::Label; 6], "nothing is written any more");
    }
}

#[tokio::test]
async fn another_list_is_refused_and_the_error_says_what_differs() {
    let stores = stores(4);
    verify("a b*2 c", &stores, 2).await.unwrap();
    let before = labels(&stores).await;
    for (named, spread, differences) in [
        ("a b*2 c", 1, "the spread is 1, stored is 2"),
        ("a b*3 c", 2, "the weight of \"b\" is 3, stored is 2"),
        ("a b*2 c d", 2, "\"d\" is not stored"),
        ("a b*2", 2, "\"c\" is stored and missing"),
        (
            "a b c d",
            3,
            "the spread is 3, stored is 2, the weight of \"b\" is 1, stored is 2, \"d\" is not stored",
        ),
    ] {
        let reason = refused("placement", verify(named, &stores, spread).await);
        let begin = "differs from the placement of the data in shard ";
        assert!(reason.starts_with(begin), "{reason}");
        assert!(reason.contains(&format!(": {differences}; open with the stored ")), "{reason}");
        assert!(reason.ends_with("to move the data (`placement=accept`)"), "{reason}");
        assert_eq!(labels(&stores).await, before, "{named}: nothing is written");
    }
    let renamed = refused("shard", verify("a b*2 e", &stores, 2).await);
    assert!(renamed.starts_with("the store of \"e\" belongs to shard \"c\"; "), "{renamed}");
}

#[tokio::test]
async fn a_new_placement_is_accepted_where_it_is_asked_for() {
    let stores = stores(4);
    verify("a b c", &stores, 1).await.unwrap();
    accept("a b*2 c d", &stores, 2).await.unwrap();
    verify("d c b*2 a", &stores.iter().rev().cloned().collect::<Stores>(), 2).await.unwrap();
    refused("placement", verify("a b c", &stores, 1).await);
    // Names stay.
    let before = labels(&stores).await;
    let swapped = refused("shard", accept("b*2 a c d", &stores, 2).await);
    assert!(swapped.contains("belongs to shard"), "{swapped}");
    assert_eq!(labels(&stores).await, before);
}

#[tokio::test]
async fn an_accepted_placement_that_meets_another_one_is_refused() {
    let stores = stores(2);
    verify("a b", &stores, 1).await.unwrap();
    let first = sharded("a b", &stores, 2).shards()[0].get_ref().clone();
    first.asked();
    first.shut();
    let options = WriteOptions::default();
    let store = sharded("a b", &stores, 2);
    let accepted = tokio::spawn(async move { store.accept_placement(&options).await });
    // It has read all labels and is about to write the first.
    first.let_through(1);
    while !first.asked().iter().any(|asked| asked.operation.is_write()) {
        tokio::task::yield_now().await;
    }
    let direct: Vec<_> = stores.iter().map(|store| store.store.clone()).collect();
    let other = ["a", "b"].into_iter().zip(direct).map(|(name, store)| Shard::new(name, store));
    let other = ShardedStore::new(other, 3).unwrap();
    other.accept_placement(&WriteOptions::default()).await.unwrap();
    first.open();
    let reason = refused("placement", ends(accepted).await.unwrap());
    assert!(reason.contains("the spread is 2, stored is 3"), "{reason}");
    other.verify_placement(&WriteOptions::default()).await.unwrap();
}

#[tokio::test]
async fn two_names_of_one_store_are_refused() {
    let store = Probe::new();
    for _ in 0..2 {
        let reason = refused("shard", verify("a b", &[store.clone(), store.clone()], 1).await);
        assert!(reason.contains("give each name its own store or an empty one"));
    }
    let label = labels(&[store]).await.remove(0).unwrap();
    assert!(label.starts_with("name=b "), "the first in the order of the hashes: {label}");
}

/// Lets the calls of two processes through in a random order.
async fn race(stores: &Stores, lists: [&str; 2], random: &mut StdRng) -> [bool; 2] {
    stores.iter().for_each(|store| store.shut());
    let [first, second] = lists.map(|list| {
        // A list begins with the number of the first store of its own.
        let (skipped, named) = list.split_once(':').unwrap();
        let stores: Stores = stores.iter().skip(skipped.parse().unwrap()).cloned().collect();
        let named = named.to_owned();
        tokio::spawn(async move { verify(&named, &stores, 1).await })
    });
    let both = join(first, second);
    tokio::pin!(both);
    let opened = loop {
        tokio::select! {
            biased;
            opened = &mut both => break opened,
            () = tokio::task::yield_now() => {
                stores[random.random_range(0..stores.len())].let_through(1);
            }
        }
    };
    stores.iter().for_each(|store| store.open());
    [opened.0.unwrap().is_ok(), opened.1.unwrap().is_ok()]
}

#[tokio::test]
async fn of_concurrent_first_opens_those_of_one_list_succeed_and_of_two_lists_one_does() {
    let seed = rsvp_testkit::seed();
    println!("{}={seed}", rsvp_testkit::SEED_VARIABLE);
    let mut random = StdRng::seed_from_u64(seed);
    let mut won = [0, 0];
    for round in 0..300 {
        let same = stores(3);
        assert_eq!(ends(race(&same, ["0:a b c"; 2], &mut random)).await, [true; 2], "{round}");
        verify("a b c", &same, 1).await.unwrap();

        // Stores b and c are in both lists.
        let other = stores(4);
        let lists = ["0:a b c", "1:b c d"];
        let opened = ends(race(&other, lists, &mut random)).await;
        assert!(opened[0] != opened[1], "{round}: {opened:?}");
        won[usize::from(opened[1])] += 1;
        match opened[0] {
            true => verify("a b c", &other, 1).await.unwrap(),
            false => verify("b c d", &other[1..], 1).await.unwrap(),
        }
    }
    assert!(won[0] > 0 && won[1] > 0, "{won:?}");
}

#[tokio::test]
async fn a_list_that_was_cut_off_while_it_was_claimed_is_completed_by_the_next_open() {
    let lost = Error::unavailable(Operation::ReplaceLabel, Effect::Unknown, None);
    for reaction in [Reaction::Fail(lost.clone()), Reaction::Lose(lost)] {
        for failing in 0..3 {
            let stores = stores(3);
            let store = sharded("a b c", &stores, 1);
            let shard = &store.shards()[failing];
            // The first call is that which reads the label.
            shard.get_ref().react([Reaction::Nothing, reaction.clone()]);
            let error = verify("a b c", &stores, 1).await.unwrap_err();
            assert_eq!(failed_shard(&error), shard.name());
            let claimed = labels(&stores).await.iter().flatten().count();
            let lost = usize::from(matches!(reaction, Reaction::Lose(_)));
            assert_eq!(claimed, failing + lost, "in the order of the hashes");
            verify("a b c", &stores, 1).await.unwrap();
            assert_eq!(labels(&stores).await.iter().flatten().count(), 3);
        }
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_is_completed_by_the_next() {
    let stores = stores(3);
    let store = sharded("a b c", &stores, 1);
    store.shards()[1].get_ref().shut();
    let options = WriteOptions::default();
    for _ in 0..2 {
        tokio::select! {
            biased;
            opened = store.verify_placement(&options) => panic!("{opened:?}"),
            () = tokio::task::yield_now() => store.shards()[1].get_ref().let_through(1),
        }
    }
    store.shards()[1].get_ref().open();
    store.verify_placement(&options).await.unwrap();
    assert_eq!(labels(&stores).await.iter().flatten().count(), 3);
}

#[tokio::test]
async fn an_accepted_placement_that_was_cut_off_is_completed_by_accepting_it_again() {
    let stores = stores(3);
    verify("a b c", &stores, 1).await.unwrap();
    let error = || Error::unavailable(Operation::ReplaceLabel, Effect::Unknown, None);
    let new = sharded("a b c", &stores, 2);
    new.shards()[1].get_ref().react([Reaction::Nothing, Reaction::Fail(error())]);
    accept("a b c", &stores, 2).await.unwrap_err();
    refused("placement", verify("a b c", &stores, 1).await);
    refused("placement", verify("a b c", &stores, 2).await);
    accept("a b c", &stores, 2).await.unwrap();
    verify("a b c", &stores, 2).await.unwrap();
}

#[tokio::test]
async fn a_store_whose_label_cannot_be_read_or_set_is_not_opened_and_is_named() {
    let stores = stores(3);
    let not_allowed = |operation| {
        let error = std::io::Error::other("permission denied");
        Reaction::Fail(Error::backend(operation, Effect::NotApplied, false, error))
    };
    stores[1].react([not_allowed(Operation::Label)]);
    let error = verify("a b c", &stores, 1).await.unwrap_err();
    assert_eq!((failed_shard(&error).as_str(), error.is_retryable()), ("b", false));
    assert_eq!(labels(&stores).await, [None, None, None], "all are read before one is written");

    stores[2].react([Reaction::Nothing, not_allowed(Operation::ReplaceLabel)]);
    assert_eq!(failed_shard(&verify("a b c", &stores, 1).await.unwrap_err()), "c");
    verify("a b c", &stores, 1).await.unwrap();
    // A role that may only read opens them from then on.
    asked(&stores);
    verify("a b c", &stores, 1).await.unwrap();
    assert_eq!(asked(&stores), [Operation::Label; 3]);
}

#[tokio::test]
async fn a_label_that_is_malformed_is_corrupt_data() {
    let stores = stores(2);
    let name = label_of_shards();
    let text = Label::new("something").unwrap();
    stores[1].replace_label(&name, None, &text, &WriteOptions::default()).await.unwrap();
    for opened in [verify("a b", &stores, 1).await, accept("a b", &stores, 1).await] {
        let error = opened.unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains("shard \"b\""), "{error}");
    }
}

#[tokio::test]
async fn removals_leave_the_labels() {
    let stores = stores(3);
    let store = sharded("a b c", &stores, 2);
    store.verify_placement(&WriteOptions::default()).await.unwrap();
    let before = labels(&stores).await;
    for n in 0..20_u32 {
        store.rsvp(&user(n), &event(n % 4)).await.unwrap();
    }
    for n in 0..20_u32 {
        store.remove_event(&event(n % 4)).await.unwrap();
        store.remove_user(&user(n)).await.unwrap();
    }
    assert_eq!(labels(&stores).await, before);
    verify("a b c", &stores, 2).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_deadline_reaches_every_store() {
    let stores = stores(2);
    let deadline = Deadline::after(Duration::from_secs(3));
    let options = WriteOptions::default().with_deadline(deadline);
    sharded("a b", &stores, 1).verify_placement(&options).await.unwrap();
    for store in &stores {
        assert_eq!(store.deadlines(), [Some(deadline); 2], "of the reading and of the writing");
    }
}

/// Shards of shards, and a host whose labels have any name.
#[tokio::test]
async fn labels_of_shards_within_shards_and_of_the_host_do_not_clash() {
    let (read, write) = (ReadOptions::strong(), WriteOptions::default());
    let memory: Vec<Arc<MemoryStore>> = (0..8).map(|_| Arc::default()).collect();
    let open = async || {
        let mut level: Vec<Arc<dyn RsvpStore>> =
            memory.iter().map(|store| store.clone() as Arc<dyn RsvpStore>).collect();
        for depth in 0..3 {
            let mut outer: Vec<Arc<dyn RsvpStore>> = Vec::new();
            for (at, pair) in level.chunks(2).enumerate() {
                let named = ["left", "right"].into_iter().zip(pair);
                let named = named.map(|(name, store)| {
                    Shard::new(&format!("{depth}-{at}-{name}"), store.clone())
                });
                let store = ShardedStore::new(named, 1 + depth % 2)?;
                store.verify_placement(&write).await?;
                outer.push(Arc::new(store));
            }
            level = outer;
        }
        Ok::<_, Error>(level.pop().unwrap())
    };
    let store = open().await.unwrap();
    let dots = |count: usize| LabelName::new(&format!("rsvp.shard{}", ".".repeat(count))).unwrap();
    let others = ["rsvp.shards", "rsvp.shard.1", "rsvp", "shard"];
    let names = (0..50).map(dots).chain(others.map(|name| LabelName::new(name).unwrap()));
    let names: Vec<LabelName> = names.collect();
    for name in &names {
        let value = Label::new(format!("the host's {name}")).unwrap();
        let before = store.replace_label(name, None, &value, &write).await.unwrap();
        assert_eq!(before, None, "{name} is free");
    }
    let store = open().await.unwrap();
    for name in &names {
        let label = store.label(name, &read).await.unwrap().unwrap();
        assert_eq!(label.as_str(), format!("the host's {name}"));
    }
    let longest = store.label(&dots(54), &read).await.unwrap_err();
    assert!(matches!(longest, Error::InvalidInput { field: "label", .. }), "{longest}");
}
