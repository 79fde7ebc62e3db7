//! Sessions ended by the server and statements forgotten by it cause no error.

use std::env;
use std::process::Command;
use std::time::Duration;

use futures_util::future::join_all;
use rsvp_core::{EventId, PageRequest, RsvpStore, RsvpStoreExt, UserId};
use rsvp_postgres::{PostgresConfig, PostgresStore};
use rsvp_testkit::servers::PostgresServer;
use tokio::time::sleep;

const POOL: u64 = 5;

async fn fresh(server: &PostgresServer) -> (PostgresStore, String) {
    let url = server.create_database().await;
    let config = PostgresConfig::from_url(&format!("{url}?migrate=true&pool_size={POOL}")).unwrap();
    let store = PostgresStore::open(config).await.unwrap();
    open_all(&store).await;
    (store, url)
}

/// Uses all connections at once.
async fn open_all(store: &PostgresStore) {
    let events: Vec<_> = (0..2 * POOL).map(EventId::from).collect();
    for answer in join_all(events.iter().map(|event| store.rsvp_count(event))).await {
        answer.unwrap();
    }
}

/// Makes as many calls as there are connections. Half of them write. Returns how often each was
/// applied.
async fn assert_no_error(store: &PostgresStore, round: u64) {
    let fair = EventId::from(round);
    let users: Vec<_> = (0..POOL).map(UserId::from).collect();
    let writes = join_all(users.iter().map(|user| store.rsvp(user, &fair)));
    let reads = join_all(users.iter().map(|user| store.has_rsvped(user, &fair)));
    let (written, read) = tokio::join!(writes, reads);
    for receipt in written {
        assert!(receipt.unwrap().outcome.is_applied(), "executed once");
    }
    assert_eq!(read.into_iter().filter(Result::is_err).count(), 0);
    assert_eq!(store.rsvp_count(&fair).await.unwrap().value, POOL);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_were_ended_while_idle_cost_no_caller_an_error() {
    let server = PostgresServer::shared().await;
    let (store, url) = fresh(server).await;
    let database = url.rsplit('/').next().unwrap();
    let end = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = '{database}' AND application_name = 'rsvp'"
    );
    for round in 0..10 {
        server.execute(&end).await;
        assert_no_error(&store, round).await;
        open_all(&store).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_were_idle_for_too_long_cost_no_caller_an_error() {
    let server = PostgresServer::shared().await;
    let url = server.create_database().await;
    let database = url.rsplit('/').next().unwrap();
    server.execute(&format!("ALTER DATABASE {database} SET idle_session_timeout = '100ms'")).await;
    let config = PostgresConfig::from_url(&format!("{url}?migrate=true&pool_size={POOL}")).unwrap();
    let store = PostgresStore::open(config).await.unwrap();
    for round in 0..3 {
        open_all(&store).await;
        sleep(Duration::from_millis(300)).await;
        assert_no_error(&store, round).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_are_prepared_again_when_their_tables_have_changed() {
    let server = PostgresServer::shared().await;
    let (store, url) = fresh(server).await;
    let (ann, fair) = (UserId::from(1), EventId::from(1));
    store.rsvp(&ann, &fair).await.unwrap();
    let page = PageRequest::default();
    for kind in ["varchar(255)", "text"] {
        for _ in 0..POOL {
            assert_eq!(store.attendees_page(&fair, &page).await.unwrap().items.len(), 1);
        }
        let change =
            format!("ALTER TABLE rsvp.rsvps ALTER COLUMN user_id TYPE {kind} COLLATE \"C\"");
        server.execute_in(&url, &change).await;
        for _ in 0..POOL {
            assert_eq!(store.attendees_page(&fair, &page).await.unwrap().items.len(), 1);
            store.cancel(&ann, &fair).await.unwrap();
            store.rsvp(&ann, &fair).await.unwrap();
        }
    }
}

/// The variable with the database for the test in the other process.
const URL: &str = "RSVP_TEST_DATABASE";

/// An environment can turn off the promise of an acknowledgement.
#[tokio::test(flavor = "multi_thread")]
async fn settings_of_the_environment_are_refused_by_their_name() {
    let (_store, url) = fresh(PostgresServer::shared().await).await;
    let other_process = tokio::task::spawn_blocking(move || {
        let test = ["--exact", "sessions::opening_with_settings_of_the_environment", "--ignored"];
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(test).env(URL, url).env("PGOPTIONS", "-c synchronous_commit=off");
        command.output().unwrap()
    });
    let output = other_process.await.unwrap();
    let output = String::from_utf8_lossy(&output.stdout);
    assert!(output.contains("1 passed"), "{output}");
}

#[tokio::test]
#[ignore = "run by the test above in an environment of its own"]
async fn opening_with_settings_of_the_environment() {
    let config = PostgresConfig::from_url(&env::var(URL).unwrap()).unwrap();
    let error = PostgresStore::open(config).await.unwrap_err();
    assert!(!error.is_retryable());
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("synchronous_commit"), "{source}");
}
