//! Shards: who is asked, what fails and what does not.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use rsvp_core::layers::{LayerExt, RetryConfig, Shard, ShardError, ShardedStore};
use rsvp_core::{
    Consistency, Cursor, Effect, Error, Operation, PageLimit, PageRequest, ReadyPolicy, Rsvp,
    RsvpStore, RsvpStoreExt, Write, WriteOptions,
};

use crate::probe::{Probe, Reaction};
use crate::{event, user, write_all};

pub(crate) fn sharded(count: usize, spread: usize) -> (ShardedStore<Arc<Probe>>, Vec<Arc<Probe>>) {
    let probes: Vec<_> = (0..count).map(|_| Probe::new()).collect();
    let shards =
        probes.iter().enumerate().map(|(n, probe)| Shard::new(&format!("s{n}"), probe.clone()));
    (ShardedStore::new(shards, spread).unwrap(), probes)
}

/// The probe of the shard called `name`.
fn probe<'a>(probes: &'a [Arc<Probe>], name: &str) -> &'a Arc<Probe> {
    &probes[name.trim_start_matches('s').parse::<usize>().unwrap()]
}

fn unavailable(operation: Operation, effect: Effect) -> Reaction {
    Reaction::Fail(Error::unavailable(operation, effect, None))
}

/// The name of the shard that an error is from.
pub(crate) fn failed_shard(error: &Error) -> String {
    let source = error.source().expect("a source");
    let shard = source.downcast_ref::<ShardError>().expect("that names the shard");
    assert!(!shard.to_string().contains(&shard.error.to_string()), "no source is told twice");
    shard.name.to_string()
}

#[tokio::test]
async fn a_question_goes_to_one_shard_and_a_count_to_the_spread() {
    for spread in [1, 3, 8] {
        let (store, probes) = sharded(8, spread);
        store.has_rsvped(&user(1_u64), &event(1_u64)).await.unwrap();
        assert_eq!(probes.iter().map(|probe| probe.asked().len()).sum::<usize>(), 1);
        store.rsvp_count(&event(1_u64)).await.unwrap();
        let asked: Vec<_> = probes.iter().map(|probe| probe.asked().len()).collect();
        assert_eq!(asked.iter().sum::<usize>(), spread);
        assert_eq!(asked.iter().max(), Some(&1));
    }
}

#[tokio::test]
async fn a_batch_is_one_call_for_each_shard() {
    let (store, probes) = sharded(4, 1);
    let writes: Vec<_> = (0..1000_u32).map(|n| Write::rsvp(user(n), event(n % 100))).collect();
    write_all(&store, &writes).await.unwrap();
    let batches: Vec<_> = probes.iter().map(|probe| probe.batches()).collect();
    assert!(batches.iter().all(|batches| batches.len() == 1), "{batches:?}");
    assert_eq!(batches.iter().flatten().sum::<usize>(), 1000);
}

#[tokio::test]
async fn pairs_live_where_the_placement_says() {
    let (store, probes) = sharded(5, 2);
    for n in 0..200_u32 {
        let pair = Rsvp::new(user(n), event(n % 10));
        store.rsvp(&pair.user, &pair.event).await.unwrap();
        let home = probe(&probes, store.placement().shard_of(&pair));
        assert!(home.store.table().has_rsvped(&pair.user, &pair.event), "{pair:?}");
    }
}

#[tokio::test]
async fn a_count_with_a_shard_down_fails_and_names_it() {
    let (store, probes) = sharded(4, 2);
    let writes: Vec<_> = (0..400_u32).map(|n| Write::rsvp(user(n), event(n % 20))).collect();
    write_all(&store, &writes).await.unwrap();
    for n in 0..20_u32 {
        for down in &probes {
            down.react([unavailable(Operation::RsvpCount, Effect::NotApplied)]);
            let name = format!("s{}", probes.iter().position(|it| Arc::ptr_eq(it, down)).unwrap());
            let count = store.rsvp_count(&event(n)).await;
            if store.placement().shards_of(&event(n)).contains(&name.as_str()) {
                assert_eq!(failed_shard(&count.unwrap_err()), name);
            } else {
                assert_eq!(count.unwrap().value, 20, "it does not live there");
                // What it was told to do is still to come.
                assert!(down.rsvp_count(&event(n)).await.is_err());
            }
        }
    }
}

#[tokio::test]
async fn of_a_batch_that_fails_in_part_each_entry_has_the_error_and_the_effect_of_its_shard() {
    let (store, probes) = sharded(3, 1);
    let writes: Vec<_> = (0..60_u32).map(|n| Write::rsvp(user(n), event(n))).collect();
    for (told, effect) in [
        (unavailable(Operation::Write, Effect::NotApplied), Effect::NotApplied),
        (unavailable(Operation::Write, Effect::Unknown), Effect::Unknown),
        (Reaction::Fail(Error::overloaded(Operation::Write)), Effect::NotApplied),
    ] {
        probes[1].react([told.clone()]);
        let receipt = store.write_batch(&writes, &WriteOptions::default()).await.unwrap();
        for (write, result) in writes.iter().zip(receipt.results) {
            if store.placement().shard_of(&write.rsvp) != "s1" {
                result.unwrap();
                continue;
            }
            let error = result.unwrap_err();
            assert_eq!((failed_shard(&error).as_str(), error.effect()), ("s1", effect), "{told:?}");
            assert!(error.is_retryable(), "{error}");
        }
    }
    for probe in &probes {
        probe.react([Reaction::Fail(Error::overloaded(Operation::Write))]);
    }
    let receipt = store.write_batch(&writes, &WriteOptions::default()).await.unwrap();
    for (write, result) in writes.iter().zip(receipt.results) {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Overloaded { .. }), "all of it was refused: {error}");
        assert_eq!(failed_shard(&error), store.placement().shard_of(&write.rsvp));
    }

    // Repeated, it ends right.
    write_all(&store, &writes).await.unwrap();
    assert_eq!(store.scan().try_collect::<Vec<_>>().await.unwrap().len(), 60);
}

#[tokio::test]
async fn errors_of_a_shard_keep_their_kind() {
    let (store, probes) = sharded(1, 1);
    let (ann, fair) = (user(1_u64), event(1_u64));
    let second = Duration::from_secs(1);
    for error in [
        Error::overloaded(Operation::Write),
        Error::timed_out(Operation::Write, second, Effect::Unknown),
        Error::unavailable(Operation::Write, Effect::NotApplied, None),
    ] {
        probes[0].react([Reaction::Fail(error.clone())]);
        let told = store.rsvp(&ann, &fair).await.unwrap_err();
        assert_eq!((told.kind(), told.effect()), (error.kind(), error.effect()));
        assert_eq!((failed_shard(&told), told.to_string()), ("s0".to_owned(), error.to_string()));
    }
    probes[0].react([Reaction::Fail(Error::corrupt(Operation::RsvpCount, "a negative count"))]);
    let error = store.rsvp_count(&fair).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }) && error.to_string().contains("s0"), "{error}");
    let driver = std::io::Error::other("syntax error");
    let backend = Error::backend(Operation::Write, Effect::NotApplied, false, driver);
    probes[0].react([Reaction::Fail(backend)]);
    let error = store.rsvp(&ann, &fair).await.unwrap_err();
    assert!(matches!(error, Error::Backend { .. }) && !error.is_retryable(), "{error}");
    assert_eq!((failed_shard(&error).as_str(), error.effect()), ("s0", Effect::NotApplied));
}

#[tokio::test]
async fn a_shard_that_answers_too_little_is_named() {
    let (store, probes) = sharded(2, 2);
    probes[1].react([Reaction::TooFewAnswers]);
    let error = store.rsvp_count(&event(1_u64)).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }) && error.to_string().contains("s1"), "{error}");
}

/// Whether a batch goes to one shard as it is, or is divided.
#[tokio::test]
async fn an_entry_that_a_shard_refuses_names_the_shard() {
    let (store, probes) = sharded(4, 1);
    let of_one = vec![Write::rsvp(user(1_u64), event(1_u64))];
    let of_all: Vec<_> = (0..40_u32).map(|n| Write::rsvp(user(n), event(n))).collect();
    for writes in [of_one, of_all] {
        for probe in &probes {
            let refused = Error::overloaded(Operation::Write);
            probe.react([Reaction::FailEntries(vec![(0, refused)])]);
        }
        let receipt = store.write_batch(&writes, &WriteOptions::default()).await.unwrap();
        let failed: Vec<_> = writes.iter().zip(receipt.results).collect();
        for (write, result) in &failed {
            if let Err(error) = result {
                assert_eq!(failed_shard(error), store.placement().shard_of(&write.rsvp));
            }
        }
        assert_eq!(
            failed.iter().filter(|(_, result)| result.is_err()).count(),
            writes.len().min(4)
        );
        // Those that were not asked have still to react.
        for n in 0..4_u32 {
            drop(probes[n as usize].write_batch(&[], &WriteOptions::default()).await);
        }
    }
}

#[tokio::test]
async fn tokens_of_all_shards_are_merged() {
    let (store, _probes) = sharded(4, 1);
    let writes: Vec<_> = (0..100_u32).map(|n| Write::rsvp(user(n), event(n))).collect();
    let token = store.write_batch(&writes, &WriteOptions::default()).await.unwrap().token;
    assert_eq!(token.to_string().matches('-').count(), 4, "{token}");
}

#[tokio::test]
async fn lists_go_through_all_shards_at_any_page_size() {
    let (store, _probes) = sharded(5, 3);
    let writes: Vec<_> = (0..120_u32).map(|n| Write::rsvp(user(n % 40), event(n / 40))).collect();
    write_all(&store, &writes).await.unwrap();
    for limit in [1, 2, 7, 39, 40, 41, 10_000] {
        let limit = PageLimit::new(limit).unwrap();
        let request = PageRequest::default().with_limit(limit);
        let mut attendees: Vec<_> =
            store.attendees_with(&event(1_u64), request.clone()).try_collect().await.unwrap();
        attendees.sort();
        attendees.dedup();
        assert_eq!(attendees.len(), 40, "{limit:?}");
        let events: Vec<_> =
            store.events_of_with(&user(7_u64), request.clone()).try_collect().await.unwrap();
        assert_eq!(events.len(), 3, "{limit:?}");
        let all: Vec<_> = store.scan_with(request).try_collect().await.unwrap();
        assert_eq!(all.len(), 120, "{limit:?}");
    }
}

#[tokio::test]
async fn a_short_list_of_a_user_is_one_page() {
    let (store, probes) = sharded(8, 1);
    for n in 0..30_u32 {
        store.rsvp(&user(1_u64), &event(n)).await.unwrap();
    }
    probes.iter().for_each(|probe| drop(probe.asked()));
    let page = store.events_of_page(&user(1_u64), &PageRequest::default()).await.unwrap();
    assert_eq!((page.items.len(), page.next), (30, None));
    assert!(probes.iter().all(|probe| probe.asked().len() == 1), "each shard is asked once");
}

#[tokio::test]
async fn a_cursor_of_a_shard_that_is_not_there_is_refused() {
    let (store, _probes) = sharded(3, 1);
    for n in 0..30_u32 {
        store.rsvp(&user(n), &event(n)).await.unwrap();
    }
    let request = PageRequest::default().with_limit(PageLimit::MIN);
    let cursor = store.scan_page(&request).await.unwrap().next.unwrap();
    let mut bytes = cursor.as_bytes().to_vec();
    bytes[8] ^= 1;
    let request = request.with_cursor(Cursor::new(bytes));
    let error = store.scan_page(&request).await.unwrap_err();
    assert!(matches!(error, Error::InvalidInput { field: "cursor", .. }), "{error}");
}

#[tokio::test]
async fn a_removal_that_fails_half_way_tells_what_is_gone() {
    let (store, probes) = sharded(4, 4);
    for n in 0..100_u32 {
        store.rsvp(&user(n), &event(1_u64)).await.unwrap();
    }
    let last = store.shards().last().unwrap().name().to_owned();
    let fails = || unavailable(Operation::RemoveEvent, Effect::NotApplied);
    probe(&probes, &last).react([fails()]);
    let step = store
        .remove_event_step(&event(1_u64), PageLimit::MAX, &WriteOptions::default())
        .await
        .unwrap();
    let left = store.rsvp_count_with(&event(1_u64), Consistency::Strong).await.unwrap().value;
    assert_eq!((step.removed + left, step.more), (100, true));
    probe(&probes, &last).react([fails()]);
    let rest = store.remove_event(&event(1_u64)).await;
    assert_eq!(failed_shard(&rest.unwrap_err()), last, "it has nothing else to tell");
    assert_eq!(store.remove_event(&event(1_u64)).await.unwrap().removed, left);
}

#[tokio::test]
async fn a_shard_that_is_down_takes_no_instance_out_of_the_balancer() {
    let (store, probes) = sharded(3, 1);
    store.ready().await.unwrap();
    let down = |shards: &[usize]| {
        for shard in shards {
            probes[*shard].react([unavailable(Operation::Ready, Effect::NotApplied)]);
        }
    };
    down(&[2]);
    store.ready().await.unwrap();
    down(&[1, 2]);
    assert!(["s1", "s2"].contains(&failed_shard(&store.ready().await.unwrap_err()).as_str()));
    // What is down is told apart, also through layers.
    let layered = Arc::new(store.clone()) as Arc<dyn RsvpStore>;
    let layered = layered.with_retry(RetryConfig::default()).unwrap();
    down(&[2]);
    let health = layered.health().await;
    let names: Vec<_> = health.down().map(|part| part.name.as_str()).collect();
    assert_eq!((names, health.parts.len()), (vec!["s2"], 3));
    // A policy decides.
    let strict = store.clone().with_ready_policy(ReadyPolicy::All);
    down(&[2]);
    assert_eq!(failed_shard(&strict.ready().await.unwrap_err()), "s2");
    let any = store.with_ready_policy(ReadyPolicy::Any);
    down(&[1, 2]);
    any.ready().await.unwrap();
}

#[test]
fn printing_shows_the_nest() {
    let (store, _probes) = sharded(2, 1);
    let shown = format!("{store:?}");
    assert!(shown.contains("\"s1\": (1.0, Probe") && shown.contains("spread: 1"), "{shown}");
}

#[test]
fn shards_are_checked() {
    let named = |name: &str| Shard::new(name, Probe::new());
    let field = |shards: Vec<Shard<Arc<Probe>>>, spread| match ShardedStore::new(shards, spread) {
        Err(Error::InvalidInput { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(field(vec![], 1), "shard");
    assert_eq!(field(vec![named("a"), named("a")], 1), "shard");
    assert_eq!(field(vec![named("a b")], 1), "shard");
    assert_eq!(field(vec![named("a").with_weight(0.0)], 1), "weight");
    assert_eq!(field(vec![named("a")], 0), "spread");
}

#[allow(dead_code, reason = "checked by compiling")]
fn shards_may_be_of_any_kind(stores: [Arc<dyn RsvpStore>; 2]) -> ShardedStore<Arc<dyn RsvpStore>> {
    let shards = stores.into_iter().enumerate().map(|(n, store)| Shard::new(&n.to_string(), store));
    ShardedStore::new(shards, 1).unwrap()
}
