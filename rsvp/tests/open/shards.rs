//! Everything that can be checked about several stores is checked before anything is connected.
//! Stores that have been opened as shards are opened with the same placement only.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rsvp::{Error, EventId, Registry, RsvpStoreExt, UserId};
use rsvp_memory::MemoryStore;

use crate::registry::other;

/// Opens the URLs of stores that must not be connected to.
async fn refused(url: &str) -> String {
    let connected = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connected);
    let registry = Registry::empty().with_scheme("far", move |url| {
        counter.fetch_add(1, Ordering::SeqCst);
        other(url)
    });
    registry.open("a=far: b=far:").await.unwrap();
    assert_eq!(connected.swap(0, Ordering::SeqCst), 2);
    let message = registry.open(url).await.unwrap_err().to_string();
    assert_eq!(connected.load(Ordering::SeqCst), 0, "{url}: {message}");
    message
}

#[tokio::test]
async fn names_weights_and_spread_are_checked_before_anything_is_connected() {
    for (url, expected) in [
        ("a=far: a=far:", "invalid shard: \"a\" and \"a\" have the same name or hash"),
        ("a*0=far: b=far:", "invalid weight: 0 of shard \"a\" is not within 0.001 to 1000"),
        ("a*x=far: b=far:", "invalid weight: is not a number"),
        ("a=far: b=far: ?spread=0", "invalid spread: is zero; an event lives on 1 shard or more"),
        ("a=far: b=far: ?spread=x", "invalid spread: is not a number"),
        ("a=far: b=far: a=far:", "invalid shard: \"a\" and \"a\" have the same name or hash"),
        ("a*2=far: b=far: a=far:", "invalid shard: \"a\" and \"a\" have the same name or hash"),
        (
            "a*1000.5=far: b=far:",
            "invalid weight: 1000.5 of shard \"a\" is not within 0.001 to 1000",
        ),
        ("a=far: b=far: ?placement=any", "invalid placement: is not `accept`"),
    ] {
        assert_eq!(refused(url).await, expected, "{url}");
    }
    let long = refused(&format!("a=far: {}=far:", "b".repeat(65))).await;
    assert!(long.starts_with("invalid shard: is not 1 to 64 ASCII letters"), "{long}");
}

#[tokio::test]
async fn every_url_and_every_layer_is_checked_before_anything_is_connected() {
    for (url, expected) in [
        ("a=far: b=near:", "invalid url: unknown scheme; supported: `far` (shard \"b\")"),
        ("a=far: b=far:?limit=0", "invalid limit: is not within 1 to 1000000 (shard \"b\")"),
        ("a=far: b=far://h:0", "invalid url: has a malformed host (shard \"b\")"),
        ("a=far: b=far: ?retry=0s", "invalid retry: is not within 1ms to 3600s"),
    ] {
        assert_eq!(refused(url).await, expected, "{url}");
    }
    let unknown = refused("a=far: b=far: ?coalese=true").await;
    assert!(unknown.starts_with("invalid url: unknown parameter `coalese`; "), "{unknown}");
    assert!(unknown.contains("`spread`") && unknown.contains("`coalesce`"), "{unknown}");
}

/// A backend whose stores stay, by the host of the URL.
fn kept() -> Registry {
    let stores = Arc::new(Mutex::new(BTreeMap::<String, Arc<MemoryStore>>::new()));
    Registry::empty().with_scheme("kept", move |url| {
        let host = url.hosts().first().map(|host| format!("{host:?}")).unwrap_or_default();
        let store = Arc::clone(stores.lock().unwrap().entry(host).or_default());
        async move { Ok(store) }
    })
}

#[tokio::test]
async fn stores_are_opened_again_with_their_placement_only() {
    let registry = kept();
    let (user, event) = (UserId::from(1), EventId::from(1));
    let first = registry.open("a=kept://1 b*2=kept://2 ?spread=2").await.unwrap();
    first.rsvp(&user, &event).await.unwrap();
    for same in
        ["b*2=kept://2 a=kept://1 ?spread=2", "a=kept://1 b*2.0=kept://2 ?spread=2&retry=1s"]
    {
        assert!(registry.open(same).await.unwrap().has_rsvped(&user, &event).await.unwrap());
    }
    for (other, differs) in [
        ("a=kept://1 b*2=kept://2", "the spread is 1, stored is 2"),
        ("a=kept://1 b=kept://2 ?spread=2", "the weight of \"b\" is 1, stored is 2"),
        ("a=kept://1 b*2=kept://2 c=kept://3 ?spread=2", "\"c\" is not stored"),
        ("a=kept://1 ?spread=2", "\"b\" is stored and missing"),
    ] {
        let error = registry.open(other).await.unwrap_err();
        assert!(matches!(error, Error::InvalidInput { field: "placement", .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains(differs) && message.contains("`placement=accept`"), "{message}");
    }
    let swapped = "a=kept://2 b*2=kept://1 ?spread=2&placement=accept";
    let message = registry.open(swapped).await.unwrap_err().to_string();
    assert!(message.starts_with("invalid shard: the store of "), "{message}");

    let more = "a=kept://1 b=kept://2 c=kept://3 ?spread=2";
    registry.open(&format!("{more}&placement=accept")).await.unwrap();
    registry.open(more).await.unwrap();
    assert!(registry.open("a=kept://1 b*2=kept://2 ?spread=2").await.is_err());
}

#[tokio::test]
async fn two_names_of_one_store_are_refused() {
    let message = kept().open("a=kept://1 b=kept://1").await.unwrap_err().to_string();
    assert_eq!(
        message,
        "invalid shard: the store of \"a\" belongs to shard \"b\"; give each name its own store or \
         an empty one"
    );
}

/// Nothing answers at an address of RFC 5737, so an attempt to connect would wait.
#[cfg(any(feature = "postgres", feature = "redis"))]
#[tokio::test]
async fn an_unreachable_server_does_not_delay_the_errors_of_a_url() {
    use std::time::Duration;

    let mut far = Vec::new();
    if cfg!(feature = "postgres") {
        far.push("postgres://192.0.2.1/d?connect_timeout=60s");
    }
    if cfg!(feature = "redis") {
        far.push("redis://192.0.2.1?connect_timeout=60s");
    }
    for far in far {
        let wrong_setting = if far.starts_with('p') { "pool_size=0" } else { "connections=0" };
        for (url, field) in [
            (format!("a={far} a={far}"), "shard"),
            (format!("a={far} b*0={far}"), "weight"),
            (format!("a={far} b={far} ?spread=0"), "spread"),
            (format!("a={far} b={far}&coalese=true"), "url"),
            (format!("a={far} b={far}&{wrong_setting}"), wrong_setting.trim_end_matches("=0")),
        ] {
            let open = tokio::time::timeout(Duration::from_secs(10), rsvp::open(&url));
            let message = open.await.expect("no connection").unwrap_err().to_string();
            assert!(message.starts_with(&format!("invalid {field}: ")), "{url}: {message}");
        }
    }
}
