//! At run time a role needs SELECT, INSERT, UPDATE and DELETE on the tables, and nothing else.

use rsvp_core::{Label, LabelName, ReadOptions, RsvpStore, RsvpStoreExt, WriteOptions};
use rsvp_postgres::{PostgresConfig, PostgresStore, migrate};
use rsvp_testkit::Subject;
use rsvp_testkit::servers::PostgresServer;
use tokio::sync::OnceCell;

use crate::support::{open_two, subject};

/// A role belongs to the whole server, so it is made once.
async fn role(server: &PostgresServer) {
    static MADE: OnceCell<()> = OnceCell::const_new();
    MADE.get_or_init(async || {
        server.execute("CREATE ROLE app LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE").await;
    })
    .await;
}

/// A fresh database with the tables, and the configuration of a role that owns none of them.
async fn granted() -> (PostgresConfig, String) {
    let server = PostgresServer::shared().await;
    role(server).await;
    let url = server.create_database().await;
    migrate(&PostgresConfig::from_url(&url).unwrap()).await.unwrap();
    let grants = "REVOKE ALL ON SCHEMA public FROM PUBLIC;
        GRANT USAGE ON SCHEMA rsvp TO app;
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA rsvp TO app;";
    server.execute_in(&url, grants).await;
    let database = url.rsplit('/').next().unwrap();
    let as_app = format!("postgres://app@127.0.0.1:{}/{database}", server.port());
    (PostgresConfig::from_url(&as_app).unwrap(), url)
}

async fn fresh() -> Subject {
    let (config, url) = granted().await;
    let (store, peer) = open_two(config).await;
    subject(store, peer, &url)
}

rsvp_testkit::conformance!(fresh().await);

#[tokio::test]
async fn the_role_may_audit_and_repair() {
    let (config, url) = granted().await;
    let store = PostgresStore::open(config).await.unwrap();
    store.rsvp(&1.into(), &2.into()).await.unwrap();
    PostgresServer::shared().await.execute_in(&url, "UPDATE rsvp.counts SET count = 7").await;
    let maintenance = store.maintenance().unwrap();
    assert_eq!(maintenance.audit().await.unwrap().findings.len(), 1);
    assert_eq!(maintenance.repair().await.unwrap().findings.len(), 1);
    assert_eq!(maintenance.audit().await.unwrap().findings, []);
}

#[tokio::test]
async fn the_role_may_ask_for_a_migration_that_has_been_done() {
    let (config, _) = granted().await;
    migrate(&config).await.unwrap();
}

/// The role was granted its rights before there were labels.
#[tokio::test]
async fn the_role_may_use_tables_that_came_later() {
    let (config, url) = granted().await;
    let server = PostgresServer::shared().await;
    let back = "DROP TABLE rsvp.labels; DELETE FROM rsvp.migrations WHERE version = 2";
    server.execute_in(&url, back).await;
    migrate(&PostgresConfig::from_url(&url).unwrap()).await.unwrap();
    let store = PostgresStore::open(config).await.unwrap();
    let (name, label) = (LabelName::new("shard").unwrap(), Label::new("a").unwrap());
    store.replace_label(&name, None, &label, &WriteOptions::default()).await.unwrap();
    let read = store.label(&name, &ReadOptions::strong()).await.unwrap();
    assert_eq!(read, Some(label));
}

/// The session has another role, and the server hides the session's own process from it.
#[tokio::test]
async fn a_role_that_stands_for_another_may_use_the_store() {
    let (_, url) = granted().await;
    let server = PostgresServer::shared().await;
    let database = url.rsplit('/').next().unwrap();
    let stand_in = format!(
        "CREATE ROLE stand_in LOGIN NOINHERIT IN ROLE app;
        ALTER ROLE stand_in IN DATABASE \"{database}\" SET role = app"
    );
    server.execute_in(&url, &stand_in).await;
    let url = format!("postgres://stand_in@127.0.0.1:{}/{database}", server.port());
    let store = PostgresStore::open(PostgresConfig::from_url(&url).unwrap()).await.unwrap();
    store.rsvp(&1.into(), &2.into()).await.unwrap();
    assert_eq!(store.rsvp_count(&2.into()).await.unwrap().value, 1);
}

#[tokio::test]
async fn a_role_that_owns_only_its_schema_can_migrate_into_it() {
    let server = PostgresServer::shared().await;
    role(server).await;
    let url = server.create_database().await;
    server.execute_in(&url, "CREATE SCHEMA rsvp AUTHORIZATION app").await;
    let as_app = format!("{url}?migrate=true").replace("postgres://postgres@", "postgres://app@");
    let store = PostgresStore::open(PostgresConfig::from_url(&as_app).unwrap()).await.unwrap();
    store.rsvp(&1.into(), &2.into()).await.unwrap();
}

/// The rights as on managed servers and forks.
#[tokio::test]
async fn without_replicas_nothing_asks_for_positions_or_control_functions() {
    let (config, url) = granted().await;
    let revoke = "REVOKE EXECUTE ON FUNCTION pg_control_system(), pg_control_checkpoint(),
                      pg_control_recovery(), pg_walfile_name(pg_lsn), pg_current_wal_insert_lsn(),
                      pg_current_wal_lsn(), pg_last_wal_replay_lsn() FROM PUBLIC";
    PostgresServer::shared().await.execute_in(&url, revoke).await;
    let store = PostgresStore::open(config.clone()).await.unwrap();
    let token = store.rsvp(&1.into(), &2.into()).await.unwrap().token;
    let session = ReadOptions::session(token);
    assert!(store.has_rsvped_with(&1.into(), &2.into(), session).await.unwrap());
    store.remove_user(&1.into()).await.unwrap();
    // A feature that needs the functions names them in its error.
    let error = PostgresStore::open(config.with_replica("127.0.0.1:1")).await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    let shown = format!("{error} {source:?}");
    assert!(shown.contains("pg_control_system") && !error.is_retryable(), "{shown}");
}

#[tokio::test]
async fn the_role_may_not_migrate_and_is_told_so() {
    let server = PostgresServer::shared().await;
    role(server).await;
    let url = server.create_database().await;
    let as_app = format!("{url}?migrate=true").replace("postgres://postgres@", "postgres://app@");
    let error = migrate(&PostgresConfig::from_url(&as_app).unwrap()).await.unwrap_err();
    assert!(!error.is_retryable(), "{error:?}");
    assert_eq!(error.effect(), rsvp_core::Effect::NotApplied);
}
