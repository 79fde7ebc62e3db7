//! What caches of clients may keep.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Method;
use rsvp::MemoryStore;
use rsvp::layers::{CountCacheConfig, LayerExt};
use rsvp_axum::Config;
use tokio::time::advance;

use crate::calls::{api_of, as_user, get, routes, send};

#[tokio::test]
async fn nothing_is_kept_unless_the_host_asks() {
    let routes = routes(Config::default());
    let rsvp = as_user(&routes, "1", Method::POST, "/events/1/rsvp").await;
    assert_eq!(rsvp.header("cache-control"), Some("no-store"));
    for path in [
        "/events/1/rsvp_count",
        "/events/1/users/1",
        "/events/1/users",
        "/users/1/events",
        "/healthz",
        "/readyz",
        "/nothing",
        "/events//users",
    ] {
        assert_eq!(get(&routes, path).await.header("cache-control"), Some("no-store"), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_count_is_kept_as_long_as_it_is_young_enough() {
    let cache = CountCacheConfig::default().with_max_age(Duration::from_secs(5));
    let store = MemoryStore::new().with_count_cache(cache).unwrap();
    let config = Config::default().with_count_max_age(Duration::from_secs(3));
    let routes = api_of(Arc::new(store), config).router();
    let path = "/events/1/rsvp_count";
    assert_eq!(get(&routes, path).await.header("cache-control"), Some("private, max-age=3"));
    assert_eq!(get(&routes, path).await.header("vary"), Some("RSVP-Session"));
    advance(Duration::from_millis(1500)).await;
    assert_eq!(get(&routes, path).await.header("cache-control"), Some("private, max-age=1"));
    advance(Duration::from_millis(1000)).await;
    assert_eq!(get(&routes, path).await.header("cache-control"), Some("no-store"));

    let session = [("rsvp-session", "r1")];
    let own = send(&routes, Method::GET, path, &session, Body::empty()).await;
    assert_eq!(own.header("cache-control"), Some("no-store"), "a session sees its writes");
}
