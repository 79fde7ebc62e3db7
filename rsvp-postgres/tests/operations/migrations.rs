//! The tables are created explicitly, and once, by any number of instances.

use std::error::Error as _;

use rsvp_core::{Error, EventId, RsvpStoreExt, UserId};
use rsvp_postgres::{PostgresConfig, PostgresStore, migrate, schema_sql};
use rsvp_testkit::servers::PostgresServer;
use tokio::task::JoinSet;

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
    assert!(message.contains("rsvp_postgres::migrate"), "{message}");
    assert!(message.contains("migrate=true"), "{message}");
    migrate(&config(&url)).await.unwrap();
    works(&PostgresStore::open(config(&url)).await.unwrap()).await;
}

#[tokio::test]
async fn tables_of_another_version_are_refused() {
    let url = server().await.create_database().await;
    migrate(&config(&url)).await.unwrap();
    server().await.execute_in(&url, "DELETE FROM rsvp.migrations").await;
    assert!(refused(config(&url)).await.contains("version 2 is needed"));
    server().await.execute_in(&url, "INSERT INTO rsvp.migrations VALUES (99)").await;
    assert!(refused(config(&url)).await.contains("is of version 99, which is newer"));
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
