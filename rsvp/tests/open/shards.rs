//! Everything that can be checked about several stores is checked before anything is connected.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rsvp::Registry;

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
