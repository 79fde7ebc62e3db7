//! The tables are created explicitly, and once, by any number of instances.

use std::error::Error as _;
use std::time::Duration;

use rsvp_core::{Error, EventId, RsvpStore, RsvpStoreExt, UserId};
use rsvp_postgres::{Durability, PostgresConfig, PostgresStore, migrate, schema_sql};
use rsvp_testkit::servers::PostgresServer;
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, raw_sql};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

async fn server() -> &'static PostgresServer {
    PostgresServer::shared().await
}

fn config(url: &str) -> PostgresConfig {
    PostgresConfig::from_url(url).unwrap()
}

async fn refused(config: PostgresConfig) -> String {
    let error = PostgresStore::open(config).await.unwrap_err();
    assert!(matches!(error, Error::InvalidInput { field: "schema", .. }), "{error:?}");
    error.to_string()
}

async fn works(store: &PostgresStore) {
    let (user, event) = (UserId::from(1), EventId::from(2));
    assert!(store.rsvp(&user, &event).await.unwrap().outcome.is_applied());
    assert_eq!(store.rsvp_count(&event).await.unwrap().value, 1);
}

#[tokio::test]
async fn opening_without_tables_says_what_to_call() {
    let url = server().await.create_database().await;
    let message = refused(config(&url)).await;
    assert!(message.contains("rsvp does not exist in this database"), "{message}");
    assert!(message.contains("rsvp::postgres::migrate"), "{message}");
    assert!(message.contains("migrate=true"), "{message}");
    migrate(&config(&url)).await.unwrap();
    works(&PostgresStore::open(config(&url)).await.unwrap()).await;
}

#[tokio::test]
async fn opening_without_a_server_names_the_hosts_and_no_password() {
    let url = "postgres://app:geheim@127.0.0.1:1,127.0.0.1:2/tickets";
    for opened in [PostgresStore::open(config(url)).await.map(drop), migrate(&config(url)).await] {
        let error = opened.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
        let source = error.source().unwrap();
        assert_eq!(source.to_string(), "could not connect to 127.0.0.1:1, 127.0.0.1:2");
        let reason = source.source().unwrap();
        assert!(reason.to_string().contains("Connection refused"), "{reason}");
        assert!(!format!("{error:?} {error:#?}").contains("geheim"));
    }
}

#[tokio::test]
async fn tables_of_another_version_are_refused() {
    let url = server().await.create_database().await;
    migrate(&config(&url)).await.unwrap();
    server().await.execute_in(&url, "DELETE FROM rsvp.migrations").await;
    assert!(refused(config(&url)).await.contains("version 2 is needed"));
    server().await.execute_in(&url, "INSERT INTO rsvp.migrations VALUES (99)").await;
    let message = refused(config(&url)).await;
    assert!(
        message.contains("needs a release that knows version 99; this one knows 2"),
        "{message}"
    );
}

/// In the middle of a deploy, other hosts have a later release, which has migrated.
#[tokio::test]
async fn tables_of_a_later_version_are_used_if_it_says_that_this_release_may() {
    let url = server().await.create_database().await;
    let store = PostgresStore::open(config(&format!("{url}?migrate=true"))).await.unwrap();
    let later = "ALTER TABLE rsvp.rsvps ADD COLUMN note text;
                 INSERT INTO rsvp.migrations VALUES (3, now(), 2)";
    server().await.execute_in(&url, later).await;
    works(&store).await;
    // And back again, with migrations.
    let again = PostgresStore::open(config(&format!("{url}?migrate=true"))).await.unwrap();
    assert_eq!(again.rsvp_count(&EventId::from(2)).await.unwrap().value, 1);
    let breaking = "INSERT INTO rsvp.migrations VALUES (4, now(), 4)";
    server().await.execute_in(&url, breaking).await;
    assert!(refused(config(&url)).await.contains("needs a release that knows version 4"));
}

#[tokio::test]
async fn a_ledger_of_the_first_versions_is_read_and_completed() {
    let url = server().await.create_database().await;
    migrate(&config(&url)).await.unwrap();
    let first = "ALTER TABLE rsvp.migrations DROP COLUMN needs_at_least";
    server().await.execute_in(&url, first).await;
    PostgresStore::open(config(&url)).await.unwrap();
    let back = "DROP TABLE rsvp.labels; DELETE FROM rsvp.migrations WHERE version = 2";
    server().await.execute_in(&url, back).await;
    migrate(&config(&url)).await.unwrap();
    let ledger = "SELECT version, needs_at_least FROM rsvp.migrations ORDER BY version";
    assert_eq!(server().await.execute_in(&url, ledger).await.trim(), "1|\n2|1");
    works(&PostgresStore::open(config(&url)).await.unwrap()).await;
}

/// A long transaction makes the migration wait, and every other call behind it.
#[tokio::test(flavor = "multi_thread")]
async fn a_migration_waits_for_a_lock_in_bounded_turns() {
    let url = server().await.create_database().await;
    migrate(&config(&url)).await.unwrap();
    let back = "DROP TABLE rsvp.labels; DELETE FROM rsvp.migrations WHERE version = 2";
    server().await.execute_in(&url, back).await;
    let mut long = PgConnection::connect(&url).await.unwrap();
    raw_sql("BEGIN; SELECT FROM rsvp.migrations").execute(&mut long).await.unwrap();
    let migrating = tokio::spawn(async move { migrate(&config(&url)).await.map(|()| url) });
    for _ in 0..3 {
        let began = Instant::now();
        let url = long_url(&mut long).await;
        server().await.execute_in(&url, "SELECT count(*) FROM rsvp.migrations").await;
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        sleep(Duration::from_secs(1)).await;
    }
    assert!(!migrating.is_finished());
    raw_sql("COMMIT").execute(&mut long).await.unwrap();
    let url = migrating.await.unwrap().unwrap();
    works(&PostgresStore::open(config(&url)).await.unwrap()).await;
}

/// The URL of the database that a session is in.
async fn long_url(session: &mut PgConnection) -> String {
    let database: (String,) =
        sqlx::query_as("SELECT current_database()::text").fetch_one(session).await.unwrap();
    server().await.url(&database.0)
}

/// Waits until no session of the store is in the middle of a transaction.
async fn nothing_is_left(url: &str) {
    let database = url.rsplit('/').next().unwrap();
    let left = format!(
        "SELECT count(*) FROM pg_stat_activity
         WHERE datname = '{database}' AND application_name LIKE 'rsvp%' AND xact_start IS NOT NULL"
    );
    let began = Instant::now();
    while server().await.execute(&left).await.trim() != "0" {
        assert!(began.elapsed() < Duration::from_secs(20), "a statement goes on");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_or_an_audit_that_is_dropped_leaves_nothing_on_the_server() {
    let url = server().await.create_database().await;
    let store = PostgresStore::open(config(&format!("{url}?migrate=true"))).await.unwrap();
    let mut other = PgConnection::connect(&url).await.unwrap();
    let held = "BEGIN; LOCK TABLE rsvp.counts;
                SELECT pg_advisory_xact_lock(hashtextextended('rsvp migrations of rsvp', 0))";
    raw_sql(held).execute(&mut other).await.unwrap();
    let short = Duration::from_millis(500);
    assert!(timeout(short, migrate(&config(&url))).await.is_err(), "it waits");
    assert!(timeout(short, store.maintenance().unwrap().audit()).await.is_err(), "it waits");
    // The session that holds the locks is not of the store.
    nothing_is_left(&url).await;
    raw_sql("ROLLBACK").execute(&mut other).await.unwrap();
    assert_eq!(store.maintenance().unwrap().audit().await.unwrap().findings, []);
}

#[tokio::test]
async fn a_database_that_lacks_characters_is_refused_when_opening() {
    server()
        .await
        .execute("CREATE DATABASE latin ENCODING LATIN1 LOCALE 'C' TEMPLATE template0")
        .await;
    let url = format!("{}?migrate=true", server().await.url("latin"));
    let error = PostgresStore::open(config(&url)).await.unwrap_err();
    assert!(matches!(error, Error::InvalidInput { field: "database", .. }), "{error:?}");
    assert!(error.to_string().contains("LATIN1"), "{error}");
}

#[tokio::test]
async fn a_store_knows_what_an_acknowledged_write_survives() {
    let url = server().await.create_database().await;
    let database = url.rsplit('/').next().unwrap();
    let open = async || {
        let store = PostgresStore::open(config(&format!("{url}?migrate=true"))).await.unwrap();
        store.durability()
    };
    assert_eq!(open().await, Durability::Disk);
    let off = format!("ALTER DATABASE {database} SET synchronous_commit = off");
    server().await.execute(&off).await;
    assert_eq!(open().await, Durability::Delayed);
}

#[tokio::test]
async fn a_parameter_of_the_url_migrates() {
    let url = server().await.create_database().await;
    for _ in 0..2 {
        PostgresStore::open(config(&format!("{url}?migrate=true"))).await.unwrap();
    }
    works(&PostgresStore::open(config(&url)).await.unwrap()).await;
}

#[tokio::test]
async fn many_instances_may_migrate_at_once() {
    let url = server().await.create_database().await;
    let mut instances = JoinSet::new();
    for _ in 0..24 {
        let config = config(&format!("{url}?migrate=true&pool_size=1"));
        instances.spawn(async move { PostgresStore::open(config).await.map(drop) });
    }
    for opened in instances.join_all().await {
        opened.unwrap();
    }
    let applied = server().await.execute_in(&url, "SELECT count(*) FROM rsvp.migrations").await;
    assert_eq!(applied.trim(), "2");
}

#[tokio::test]
async fn the_printed_sql_makes_the_same_tables() {
    let url = server().await.create_database().await;
    let other = config(&url).with_schema("tickets_2");
    server().await.execute_in(&url, &schema_sql(&other).unwrap()).await;
    migrate(&other).await.unwrap();
    works(&PostgresStore::open(other).await.unwrap()).await;
}

#[tokio::test]
async fn schemas_in_one_database_are_separate_stores() {
    let url = server().await.create_database().await;
    for schema in ["a", "user"] {
        let config = config(&format!("{url}?schema={schema}&migrate=true"));
        works(&PostgresStore::open(config).await.unwrap()).await;
    }
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('a', 'user', 'pg_catalog', \
                  'information_schema')";
    assert_eq!(server().await.execute_in(&url, tables).await.trim(), "0", "nothing elsewhere");
}

#[tokio::test]
async fn the_database_keeps_its_defaults_to_itself() {
    let url = server().await.create_database().await;
    let database = url.rsplit('/').next().unwrap();
    let serializable = format!(
        "ALTER DATABASE \"{database}\" SET default_transaction_isolation = 'serializable'; \
         ALTER DATABASE \"{database}\" SET search_path = ''"
    );
    server().await.execute_in(&url, &serializable).await;
    let store = PostgresStore::open(config(&format!("{url}?migrate=true"))).await.unwrap();
    let event = EventId::from(1);
    let mut writers = JoinSet::new();
    for user in 0..50_u32 {
        let (store, event) = (store.clone(), event.clone());
        writers.spawn(async move { store.rsvp(&UserId::from(user), &event).await });
    }
    for written in writers.join_all().await {
        written.unwrap();
    }
    assert_eq!(store.rsvp_count(&event).await.unwrap().value, 50);
}

#[tokio::test]
async fn no_password_is_shown_by_anything() {
    let server = PostgresServer::builder().password("hunter2").start().await;
    let url = server.create_database().await;
    assert!(url.contains("hunter2"));
    let store = PostgresStore::open(config(&format!("{url}?migrate=true"))).await.unwrap();
    let mut shown = format!("{store:?} {store:#?} {:?}", store.config());

    let wrong_password = url.replace("hunter2", "not-hunter2-either");
    let wrong_port = url.replace(&server.port().to_string(), "1");
    let wrong_database = format!("{url}-of-nobody");
    for url in [wrong_password, wrong_port, wrong_database] {
        let error = PostgresStore::open(config(&url)).await.unwrap_err();
        shown += &format!("{error} {error:?} {error:#?}");
        let mut source = error.source();
        while let Some(error) = source {
            shown += &format!("{error} {error:?}");
            source = error.source();
        }
    }
    assert!(!shown.contains("hunter2"), "{shown}");
}
