//! The layers that a URL asks for.

use std::time::Duration;

use rsvp::{
    Effect, Error, EventId, Operation, ReadOptions, Registry, RsvpStore, RsvpStoreExt, UserId, open,
};
use rsvp_memory::MemoryStore;
use rsvp_testkit::{FaultStore, Faults};

async fn refused(url: &str) -> String {
    open(url).await.unwrap_err().to_string()
}

#[tokio::test]
async fn layers_go_around_in_their_order_however_they_are_given() {
    let all = "memory:?count_cache=5s&observe=db&coalesce=true&limit=64&deadline=9s&retry=1s\
               &timeout=2s&stale_if_error=60s";
    let shown = format!("{:?}", open(all).await.unwrap());
    let order = [
        "layer: Timeout(TimeoutConfig { reads: 9s, writes: 9s })",
        "CountCache { store: ",
        "CoalescedStore { store: ",
        "layer: Limit {",
        "layer: Retry {",
        "layer: Timeout(TimeoutConfig { reads: 2s, writes: 2s })",
        "layer: Observe {",
        "store: MemoryStore {",
    ];
    let places: Vec<_> = order.iter().map(|name| shown.find(name).expect(name)).collect();
    assert!(places.is_sorted(), "{shown}");
    let none = format!("{:?}", open("memory:?coalesce=false").await.unwrap());
    assert!(none.starts_with("MemoryStore"), "{none}");
}

#[tokio::test]
async fn several_names_are_shards() {
    let text = "a=memory: b*2.5=memory:?observe=b\n\t?spread=2&coalesce=true&count_cache=1s";
    let shown = format!("{:?}", open(text).await.unwrap());
    assert!(shown.starts_with("CountCache { store: ShardedStore"), "{shown}");
    assert!(shown.contains("\"a\": (1.0, CoalescedStore { store: MemoryStore"), "{shown}");
    assert!(
        shown.contains("\"b\": (2.5, CoalescedStore { store: Layered { layer: Observe"),
        "{shown}"
    );
    assert!(shown.contains("spread: 2"), "{shown}");
    let other = "a=memory:?coalesce=false b=memory:?retry=1s ?coalesce=true&retry=2s";
    let shown = format!("{:?}", open(other).await.unwrap());
    assert!(shown.contains("\"a\": (1.0, Layered { layer: Retry"), "{shown}");
    assert!(shown.contains("deadline: 1s"), "{shown}");
    let limited = "a=memory: b=memory:?limit=7 ?coalesce=true&limit=64&observe=all";
    let shown = format!("{:?}", open(limited).await.unwrap());
    let observed = "Layered { layer: Observe { name: \"all\" }, store: ShardedStore";
    assert!(shown.starts_with(observed), "{shown}");
    let each = "(1.0, CoalescedStore { store: Layered { layer: Limit";
    assert_eq!(shown.matches(each).count(), 2, "batches are limited, not callers: {shown}");
    let late = "a=memory: b=memory: ?deadline=3s&coalesce=true&retry=1s";
    let shown = format!("{:?}", open(late).await.unwrap());
    let around_all =
        "Layered { layer: Timeout(TimeoutConfig { reads: 3s, writes: 3s }), store: Sharded";
    assert!(shown.starts_with(around_all), "{shown}");
    assert_eq!(shown.matches("Timeout").count(), 2, "around all shards as one: {shown}");
    for one in ["only=memory:", "\n only=memory: "] {
        let one = format!("{:?}", open(one).await.unwrap());
        assert!(one.starts_with("ShardedStore"), "{one}");
    }
}

#[tokio::test]
async fn names_and_values_may_be_percent_encoded() {
    let shown = format!("{:?}", open("memory:?%6fbserve=d%62").await.unwrap());
    assert!(shown.starts_with("Layered { layer: Observe { name: \"db\" }"), "{shown}");
    let shown = format!("{:?}", open("a=memory: ?%73pread=%32").await.unwrap());
    assert!(shown.contains("spread: 2"), "{shown}");
}

#[tokio::test]
async fn of_several_stores_the_one_that_does_not_open_is_named() {
    let message = refused("eu1=memory: eu2=hunter2: eu3=memory:").await;
    assert!(message.ends_with("(shard \"eu2\")") && !message.contains("hunter2"), "{message}");
}

#[tokio::test]
async fn a_wrong_layer_or_shard_is_named() {
    for (url, field) in [
        ("memory:?coalesce=hunter2", "coalesce"),
        ("memory:?count_cache=5", "count_cache"),
        ("memory:?count_cache=0s", "count_cache"),
        ("memory:?count_cache=5s&count_cache=6s", "count_cache"),
        ("memory:?stale_if_error=5s", "stale_if_error"),
        ("memory:?retry=hunter2", "retry"),
        ("memory:?timeout=0ms", "timeout"),
        ("memory:?deadline=0ms", "deadline"),
        ("memory:?deadline=hunter2", "deadline"),
        ("memory:?limit=0", "limit"),
        ("memory:?limit=hunter2", "limit"),
        ("memory:?observe=hunter 2", "url"),
        ("memory:?observe=hunter%202", "observe"),
        ("memory:?spread=2", "url"),
        ("a=memory: memory:", "url"),
        ("a=memory: b=hunter2:", "url"),
        ("a=memory: a=memory:", "shard"),
        ("a*hunter2=memory: b=memory:", "weight"),
        ("a*0=memory: b=memory:", "weight"),
        ("a=memory: ?spread=0", "spread"),
        ("a=memory: ?spread=hunter2", "spread"),
        ("a=memory: ?spread=2&spread=2", "spread"),
        ("a=memory: ?spread=2 ?spread=hunter2", "spread"),
        ("a=memory: ?schema=hunter2", "url"),
        ("?spread=2 ?coalesce=true", "shard"),
        ("u:hunter2@h=memory: b=memory:", "url"),
    ] {
        let message = refused(url).await;
        assert!(message.starts_with(&format!("invalid {field}: ")), "{url}: {message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

/// Every attempt hangs, and the callers wait for all attempts together.
#[tokio::test(start_paused = true)]
async fn a_deadline_bounds_a_call_with_all_its_attempts() {
    let hanging = Registry::empty().with_scheme("hanging", async |_url| {
        let faults = Faults { hang: 1.0, ..Faults::default() };
        Ok(FaultStore::new(MemoryStore::new(), 1).with_reads(faults))
    });
    let url = "hanging:?timeout=1s&retry=60s&coalesce=true&deadline=3s";
    let store = hanging.open(url).await.unwrap();
    let (user, event) = (UserId::from(1), EventId::from(1));
    let began = tokio::time::Instant::now();
    let error = store.has_rsvped(&user, &event).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    assert!((2.9..3.5).contains(&began.elapsed().as_secs_f64()), "{:?}", began.elapsed());

    let began = tokio::time::Instant::now();
    let soon = ReadOptions::strong().with_timeout(Duration::from_millis(500));
    let error = store.has_rsvped_with(&user, &event, soon).await.unwrap_err();
    assert_eq!(error.operation(), Some(Operation::HasRsvped));
    assert!(began.elapsed() < Duration::from_secs(1), "the earliest deadline counts");
}

#[tokio::test]
async fn a_closed_store_refuses_calls_through_all_its_layers() {
    for url in [
        "memory:?observe=db&timeout=1s&retry=1s&limit=64&coalesce=true&count_cache=5s&deadline=9s",
        "a=memory: b=memory: ?spread=2&retry=1s&coalesce=true&count_cache=5s",
    ] {
        let store = open(url).await.unwrap();
        let (user, event) = (UserId::from(1), EventId::from(1));
        store.rsvp(&user, &event).await.unwrap();
        store.close().await.unwrap();
        store.close().await.unwrap();
        let write = store.rsvp(&user, &event).await.unwrap_err();
        assert!(matches!(write, Error::Closed { .. }), "{url}: {write:?}");
        assert_eq!((write.effect(), write.is_retryable()), (Effect::NotApplied, false));
        let ready = store.ready().await.unwrap_err();
        assert!(matches!(ready, Error::Closed { .. }), "{url}: {ready:?}");
    }
}
