//! At run time a user needs the rights that the crate's documentation lists, and nothing else.

use std::error::Error as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::own_keys::OwnKeys;
use crate::support::{both, config, event, eventually, open, repair, user, write};
use rsvp_core::async_trait;
use rsvp_core::url::Host;
use rsvp_core::{
    Effect, Label, LabelName, ReadOptions, RsvpStore, RsvpStoreExt, Write, WriteOptions,
};
use rsvp_redis::{CredentialError, CredentialProvider, Credentials, Durability, RedisStore};
use rsvp_testkit::servers::{Persistence, RedisCluster, RedisServer};
use tokio::sync::OnceCell;

/// As documented, for the prefix `rsvp`; keys of other tests begin with `rsvp` too.
const RIGHTS: &[&str] = &[
    "+@read",
    "+@write",
    "+@transaction",
    "+@connection",
    "-@dangerous",
    "+info",
    "+wait",
    "+client|id",
    "+client|kill",
];
const IN_A_CLUSTER: &[&str] = &[
    "+cluster|slots",
    "+cluster|nodes",
    "+cluster|countkeysinslot",
    "+cluster|getkeysinslot",
    "+asking",
];
const TO_SEE_WHAT_IS_KEPT: &[&str] = &["+config|get"];

#[test]
fn the_documented_rights_are_those_tested() {
    let documentation = include_str!("../../src/lib.rs").replace("\n//! ", " ");
    for rights in [RIGHTS, IN_A_CLUSTER, TO_SEE_WHAT_IS_KEPT] {
        let rights = format!("`{}`", rights.join(" "));
        assert!(documentation.contains(&rights), "{rights}");
    }
}

/// The arguments of `ACL SETUSER` for a user with the password `secret`.
fn user_with<'a>(name: &'a str, rights: &[&[&'a str]]) -> Vec<&'a str> {
    let user = ["ACL", "SETUSER", name, "reset", "on", ">secret", "~rsvp*"];
    [&user, rights.concat().as_slice()].concat()
}

/// A database of its own, so that a scan meets no keys of other cases. Rights hold for all.
async fn standalone() -> String {
    static MADE: OnceCell<()> = OnceCell::const_new();
    MADE.get_or_init(async || {
        RedisServer::shared().await.command(&user_with("app", &[RIGHTS])).await;
    })
    .await;
    RedisServer::database().await.replace("://", "://app:secret@")
}

/// The user on the cluster that all tests share. Rights are each node's own.
async fn cluster(prefix: &str) -> String {
    static MADE: OnceCell<()> = OnceCell::const_new();
    let cluster = RedisCluster::shared().await;
    MADE.get_or_init(async || {
        for primary in cluster.primaries().await {
            for node in [primary, cluster.replica_of(primary).await] {
                node.command(&user_with("app", &[RIGHTS, IN_A_CLUSTER])).await;
            }
        }
    })
    .await;
    let url = cluster.url().replace("://", "://app:secret@");
    format!("{url}?prefix={prefix}&event_spread=2")
}

mod on_one_server {
    use super::{open, standalone};

    rsvp_testkit::conformance!(open(&standalone().await).await, except {
        a_store_that_cannot_write_is_not_ready => "other tests use the server, so it is not stopped",
        an_entry_that_fails_takes_no_other_down => "the binary `conformance` refuses an entry; rights do not matter there",
    });
}

mod in_a_cluster {
    use super::{OwnKeys, cluster, open};
    use rsvp_testkit::Subject;

    async fn fresh() -> Subject {
        let keys = OwnKeys::begin("rsvp").await;
        Subject::from(open(&cluster(keys.prefix()).await).await).holding(keys)
    }

    rsvp_testkit::conformance!(fresh().await, except {
        a_store_that_cannot_write_is_not_ready => "other tests use the server, so it is not stopped",
        an_entry_that_fails_takes_no_other_down => "the binary `conformance` refuses an entry; rights do not matter there",
    });
}

async fn assert_all_is_allowed(store: &RedisStore) {
    let writes: Vec<_> = (0..5).map(|n| Write::rsvp(user(n), event(n % 2))).collect();
    write(store, &writes).await.unwrap();
    assert_eq!(store.rsvp_count(&event(0)).await.unwrap().value, 3);
    store.ready().await.unwrap();
    let report = repair(store).await;
    assert_eq!((report.findings.len(), report.checked), (0, 10), "{report:?}");
    assert_eq!(store.remove_event(&event(0)).await.unwrap().removed, 3);
    assert_eq!(store.remove_user(&user(1)).await.unwrap().removed, 1);
    assert!(store.has_rsvped(&user(3), &event(1)).await.unwrap());
    let (name, label) = (LabelName::new("shard").unwrap(), Label::new("1").unwrap());
    let options = WriteOptions::default();
    assert_eq!(store.replace_label(&name, None, &label, &options).await.unwrap(), None);
    assert_eq!(store.label(&name, &ReadOptions::strong()).await.unwrap(), Some(label));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_user_may_repair_and_wait_for_replicas() {
    let pair = RedisServer::builder().start_replicated().await;
    pair.primary().command(&user_with("app", &[RIGHTS])).await;
    let keys = [OwnKeys::begin("rsvp").await, OwnKeys::begin("rsvp").await];
    let replicated = format!("redis://app:secret@127.0.0.1:{}?", pair.primary().port());
    for url in [
        replicated,
        format!("{}&", cluster(keys[0].prefix()).await),
        format!("{}&", standalone().await),
    ] {
        assert_all_is_allowed(&open(url.trim_end_matches(['?', '&'])).await).await;
    }
    let replicated =
        format!("redis://app:secret@127.0.0.1:{}?prefix=rsvp-2&", pair.primary().port());
    for url in [replicated, format!("{}&", cluster(keys[1].prefix()).await)] {
        assert_all_is_allowed(&open(&format!("{url}wait_replicas=1&wait_timeout=50s")).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_user_may_fence_a_write_that_was_given_up() {
    let server = RedisServer::start().await;
    server.command(&user_with("app", &[RIGHTS])).await;
    let store = open(&format!("redis://app:secret@127.0.0.1:{}", server.port())).await;
    server.command(&["CLIENT", "PAUSE", "20000", "WRITE"]).await;
    let options = WriteOptions::default().with_timeout(Duration::from_millis(300));
    let error = store.rsvp_with(&user(1), &event(1), options).await.unwrap_err();
    assert_eq!(error.effect(), Effect::Unknown, "it is decided: {error:?}");
    server.command(&["CLIENT", "UNPAUSE"]).await;
    assert!(!store.has_rsvped(&user(1), &event(1)).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_ask_it_is_not_known_what_a_server_keeps() {
    for (persistence, hidden, told) in [
        (Persistence::Always, Durability::EverySecond, Durability::Always),
        (Persistence::None, Durability::Unknown, Durability::Nothing),
    ] {
        let server = RedisServer::builder().persistence(persistence).start().await;
        server.command(&user_with("app", &[RIGHTS])).await;
        let url = format!("redis://app:secret@127.0.0.1:{}", server.port());
        assert_eq!(open(&url).await.durability(), hidden);
        server.command(&user_with("app", &[RIGHTS, TO_SEE_WHAT_IS_KEPT])).await;
        assert_eq!(open(&url).await.durability(), told);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_missing_is_no_reason_to_try_again() {
    let server = RedisServer::start().await;
    server.command(&user_with("app", &[RIGHTS])).await;
    let store = open(&format!("redis://app:secret@127.0.0.1:{}", server.port())).await;
    let pair = (user(1), event(1));
    for missing in ["-sadd", "-hset", "-exec", "-multi"] {
        server.command(&user_with("app", &[RIGHTS, &[missing]])).await;
        let error = store.rsvp(&pair.0, &pair.1).await.unwrap_err();
        // A transaction that is discarded as a whole may be so for many a reason.
        assert_eq!(error.is_retryable(), missing == "-exec", "{missing}: {error:?}");
        let source = error.source().unwrap().source().unwrap().to_string();
        assert!(source.contains("no permissions"), "{missing}: {source}");
        // Commands that are no transaction are done one by one.
        let expected = if missing == "-multi" { Effect::Unknown } else { Effect::NotApplied };
        assert_eq!(error.effect(), expected, "{missing}: {error:?}");
        let held = store.has_rsvped(&pair.0, &pair.1).await.unwrap();
        assert!(!held || expected == Effect::Unknown, "{missing}");
    }
    for missing in ["-setnx", "-get"] {
        server.command(&user_with("app", &[RIGHTS, &[missing]])).await;
        let error = RedisStore::open(store.config().clone()).await.unwrap_err();
        assert!(!error.is_retryable(), "{missing}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_any_administrative_command_is_served() {
    let pair = RedisServer::builder().start_replicated().await;
    let rights: &[&str] = &["+@all", "-@admin", "-@dangerous"];
    for server in [pair.primary(), pair.replica()] {
        server.command(&user_with("app", &[rights])).await;
    }
    let url = both(&pair).replace("://", "://app:secret@");
    let store = open(&url).await;
    assert_eq!(store.durability(), Durability::Unknown);
    assert_all_is_allowed(&store).await;
    // A demotion is noticed without `ROLE` and `INFO`.
    pair.switch_over().await;
    eventually("the promoted server", async || store.rsvp(&user(9), &event(9)).await.is_ok()).await;
    assert!(store.has_rsvped(&user(9), &event(9)).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_a_server_hides_are_done_without() {
    let hidden = ["ROLE", "INFO", "CONFIG", "CLIENT", "DEBUG", "KEYS"];
    let server = hidden.iter().fold(RedisServer::builder(), |server, command| {
        server.setting(&format!("rename-command {command}"), "")
    });
    let server = server.start().await;
    assert_all_is_allowed(&open(&server.url()).await).await;
    // What cannot be done without is said at the start.
    let server = RedisServer::builder().setting("rename-command WAIT", "").start().await;
    let url = format!("{}?wait_replicas=1", server.url());
    let error = RedisStore::open(config(&url)).await.unwrap_err();
    assert!(!error.is_retryable(), "{error:?}");
    assert!(error.source().unwrap().to_string().contains("WAIT"), "{error:?}");
    open(&server.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_have_a_name() {
    let server = RedisServer::start().await;
    let _store = open(&server.url()).await;
    let _other = open(&format!("{}?client_name=tickets-7", server.url())).await;
    let clients = server.command(&["CLIENT", "LIST"]).await;
    assert!(clients.contains("name=rsvp ") && clients.contains("name=tickets-7 "), "{clients}");
}

struct Rotated(AtomicUsize);

#[async_trait]
impl CredentialProvider for Rotated {
    async fn credentials(&self, host: &Host) -> Result<Credentials, CredentialError> {
        assert!(host.port.is_some());
        match self.0.fetch_add(1, Ordering::SeqCst) {
            0 => Err("the first token is late".into()),
            1 => Ok(Credentials::new(Some("app"), "expired")),
            _ => Ok(Credentials::new(Some("app"), "secret")),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_connection_asks_the_provider_for_its_credentials() {
    let server = RedisServer::start().await;
    server.command(&user_with("app", &[RIGHTS])).await;
    server.command(&["ACL", "SETUSER", "default", "off"]).await;
    let config = config(&server.url()).with_credential_provider(Rotated(AtomicUsize::new(0)));
    let error = RedisStore::open(config.clone()).await.unwrap_err();
    assert!(error.is_retryable(), "a provider may have it later: {error:?}");
    let error = RedisStore::open(config.clone()).await.unwrap_err();
    assert!(!error.is_retryable() && !format!("{error:?}").contains("expired"), "{error:?}");
    let store = RedisStore::open(config).await.unwrap();
    store.rsvp(&user(1), &event(1)).await.unwrap();
    assert!(!format!("{store:?}").contains("secret"));
}
