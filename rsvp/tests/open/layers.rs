//! The layers that a URL asks for.

use rsvp::open;

async fn refused(url: &str) -> String {
    open(url).await.unwrap_err().to_string()
}

#[tokio::test]
async fn layers_go_around_in_their_order_however_they_are_given() {
    let all = "memory:?count_cache=5s&observe=db&coalesce=true&limit=64&retry=1s&timeout=2s\
               &stale_if_error=60s";
    let shown = format!("{:?}", open(all).await.unwrap());
    let order = ["CountCache", "Coalesced", "Limit", "Retry", "Timeout", "Observed", "Memory"];
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
    assert!(shown.contains("\"b\": (2.5, CoalescedStore { store: ObservedStore"), "{shown}");
    assert!(shown.contains("spread: 2"), "{shown}");
    let other = "a=memory:?coalesce=false b=memory:?retry=1s ?coalesce=true&retry=2s";
    let shown = format!("{:?}", open(other).await.unwrap());
    assert!(shown.contains("\"a\": (1.0, RetryStore") && shown.contains("deadline: 1s"), "{shown}");
    let limited = "a=memory: b=memory:?limit=7 ?coalesce=true&limit=64&observe=all";
    let shown = format!("{:?}", open(limited).await.unwrap());
    assert!(shown.starts_with("ObservedStore { store: ShardedStore"), "{shown}");
    let each = "(1.0, CoalescedStore { store: LimitStore";
    assert_eq!(shown.matches(each).count(), 2, "batches are limited, not callers: {shown}");
    for one in ["only=memory:", "\n only=memory: "] {
        let one = format!("{:?}", open(one).await.unwrap());
        assert!(one.starts_with("ShardedStore"), "{one}");
    }
}

#[tokio::test]
async fn names_and_values_may_be_percent_encoded() {
    let shown = format!("{:?}", open("memory:?%6fbserve=d%62").await.unwrap());
    assert!(shown.starts_with("ObservedStore"), "{shown}");
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
