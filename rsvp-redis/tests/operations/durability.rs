//! The durability of a server is known, and weak ones are warned of without telling a secret.

use std::error::Error as _;
use std::fmt::Write as _;

use crate::support::{config, log, open};
use rsvp_core::Error;
use rsvp_redis::{Durability, RedisConfig, RedisStore};
use rsvp_testkit::servers::{Persistence, RedisBuilder, RedisCluster, RedisServer};

const PASSWORD: &str = "hunter2/@:%";
const ENCODED: &str = "hunter2%2F%40%3A%25";

/// The durability that a store on such a server finds, and the events logged when it was opened.
async fn opened(server: RedisBuilder) -> (Durability, Vec<String>) {
    let server = server.password(PASSWORD).start().await;
    let store = open(&server.url()).await;
    assert_no_secret(&format!("{store:?} {store:#?} {:?}", store.config()));
    (store.durability(), log::of_port(server.port()))
}

fn assert_no_secret(shown: &str) {
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_keeps_what_it_acknowledges_is_not_warned_of() {
    log::keep();
    for (persistence, durability) in [
        (Persistence::Always, Durability::Always),
        (Persistence::EverySecond, Durability::EverySecond),
    ] {
        let (found, logged) = opened(RedisServer::builder().persistence(persistence)).await;
        assert_eq!(found, durability);
        assert_eq!(logged, [""; 0]);
    }
    let snapshots = RedisServer::builder().persistence(Persistence::None).setting("save", "3600 1");
    let (found, logged) = opened(snapshots).await;
    assert_eq!(found, Durability::Snapshots);
    assert_eq!(logged, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_keeps_nothing_is_warned_of() {
    log::keep();
    let (found, logged) = opened(RedisServer::builder().persistence(Persistence::None)).await;
    assert_eq!(found, Durability::Nothing);
    let [warning] = logged.as_slice() else { panic!("{logged:?}") };
    assert!(warning.starts_with("WARN") && warning.contains("keeps nothing"), "{warning}");
    assert_no_secret(warning);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_may_evict_is_warned_of() {
    log::keep();
    for policy in ["allkeys-lru", "volatile-ttl"] {
        let (found, logged) =
            opened(RedisServer::builder().setting("maxmemory-policy", policy)).await;
        assert_eq!(found, Durability::Always);
        let [warning] = logged.as_slice() else { panic!("{logged:?}") };
        assert!(warning.starts_with("WARN") && warning.contains(policy), "{warning}");
        assert_no_secret(warning);
    }
    let forgetful = RedisServer::builder().persistence(Persistence::None);
    let (_, logged) = opened(forgetful.setting("maxmemory-policy", "allkeys-random")).await;
    assert_eq!(logged.len(), 2, "{logged:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_cluster_the_least_durable_primary_counts() {
    log::keep();
    // Not the shared one, since its settings change.
    let cluster = RedisCluster::start().await;
    let store = open(&cluster.url()).await;
    assert_eq!(store.durability(), Durability::Always);
    let primaries = cluster.primaries().await;
    let [first, second, third] = primaries.as_slice() else { panic!("{primaries:?}") };
    second.command(&["CONFIG", "SET", "appendfsync", "everysec"]).await;
    assert_eq!(open(&cluster.url()).await.durability(), Durability::EverySecond);
    for primary in &primaries {
        assert_eq!(log::of_port(primary.port()), [""; 0]);
    }
    third.command(&["CONFIG", "SET", "appendonly", "no"]).await;
    assert_eq!(open(&cluster.url()).await.durability(), Durability::Nothing);
    assert_eq!(log::of_port(third.port()).len(), 1);
    assert_eq!(log::of_port(first.port()).len() + log::of_port(second.port()).len(), 0);
}

/// The error with everything behind it, in every way it can be printed.
fn shown(error: &Error) -> String {
    let mut shown = format!("{error} {error:?} {error:#?}");
    let mut source = error.source();
    while let Some(error) = source {
        write!(shown, " {error} {error:?} {error:#?}").unwrap();
        source = error.source();
    }
    shown
}

async fn refused(url: &str) -> Error {
    let config: RedisConfig = config(url);
    assert_no_secret(&format!("{config:?} {config:#?}"));
    let error = RedisStore::open(config).await.unwrap_err();
    assert_no_secret(&shown(&error));
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn why_a_store_cannot_be_opened_is_told_without_the_password() {
    log::keep();
    let server = RedisServer::builder().password(PASSWORD).start().await;
    let port = server.port();
    let url = |scheme, login, rest| format!("{scheme}://{login}127.0.0.1:{port}{rest}");
    let login = format!(":{ENCODED}@");
    let login = login.as_str();
    open(&url("redis", login, "")).await;

    for wrong in [":hunter2-is-wrong@", "nobody:hunter2@", "default:hunter2@", ""] {
        let error = refused(&url("redis", wrong, "")).await;
        assert!(matches!(error, Error::Backend { .. }) && !error.is_retryable(), "{error:?}");
    }
    let error = refused(&url("redis+cluster", login, "")).await;
    assert!(matches!(error, Error::Backend { .. }) && !error.is_retryable(), "{error:?}");
    assert!(shown(&error).contains("redis://"), "{error:?}");
    let error = refused(&url("redis", login, "?event_spread=2")).await;
    assert!(matches!(error, Error::InvalidInput { field: "event_spread", .. }), "{error:?}");
    // There is no such database.
    refused(&url("redis", login, "/9999")).await;

    server.kill().await;
    let error = refused(&url("redis", login, "")).await;
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    assert!(shown(&error).contains(&format!("could not connect to 127.0.0.1:{port}")), "{error:?}");

    let cluster = RedisCluster::shared().await;
    let node = cluster.primaries().await[0].port();
    let error = refused(&format!("redis://:{ENCODED}@127.0.0.1:{node}")).await;
    assert!(!error.is_retryable(), "{error:?}");
    let error = refused(&format!("redis://127.0.0.1:{node}")).await;
    assert!(shown(&error).contains("redis+cluster://"), "{error:?}");
    assert!(matches!(error, Error::Backend { .. }) && !error.is_retryable(), "{error:?}");
    log::everything().iter().for_each(|line| assert_no_secret(line));
}
