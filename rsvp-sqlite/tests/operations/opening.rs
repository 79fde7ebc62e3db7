//! Whose the file is, and who may have it.

use std::error::Error as _;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use rsvp_core::{Effect, Error, RsvpStore, RsvpStoreExt};
use rsvp_sqlite::{SqliteConfig, SqliteStore};
use rusqlite::Connection;

use crate::support::{Place, event, fill, user};

async fn refused(config: SqliteConfig) -> Error {
    let config = config.with_busy_timeout(Duration::from_millis(100));
    SqliteStore::open(config).await.unwrap_err()
}

#[tokio::test]
async fn the_file_of_another_application_is_refused_and_stays_as_it_is() {
    let place = Place::new();
    let theirs = Connection::open(place.path()).unwrap();
    theirs
        .execute_batch("CREATE TABLE theirs (id INTEGER); INSERT INTO theirs VALUES (7)")
        .unwrap();
    drop(theirs);
    let before = fs::read(place.path()).unwrap();
    let error = refused(place.config()).await;
    assert!(error.to_string().contains("another application"), "{error}");
    assert_eq!(fs::read(place.path()).unwrap(), before);

    let text = Place::new();
    fs::write(text.path(), "Dear diary, this is no database at all. ".repeat(100)).unwrap();
    let error = refused(text.config()).await;
    assert!(error.to_string().contains("another application"), "{error}");
}

#[tokio::test]
async fn a_file_of_a_later_release_is_refused() {
    let place = Place::new();
    place.open().await.close().await.unwrap();
    place.shell().pragma_update(None, "user_version", 99).unwrap();
    let error = refused(place.config()).await;
    assert!(error.to_string().contains("of version 99"), "{error}");
}

#[tokio::test]
async fn a_missing_file_or_folder_is_named_as_such() {
    let place = Place::new();
    let error = refused(place.config().with_create(false)).await;
    assert!(error.to_string().contains("does not exist"), "{error}");
    assert!(!place.path().exists());
    let error = refused(SqliteConfig::new(place.beside("none/rsvp.db"))).await;
    assert!(error.to_string().contains("does not exist"), "{error}");
    fs::create_dir(place.path()).unwrap();
    let error = refused(place.config()).await;
    assert!(matches!(error, Error::InvalidInput { .. } | Error::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_second_store_is_refused_until_the_first_is_closed() {
    let place = Place::new();
    let first = place.open().await;
    let error = refused(place.config()).await;
    let source = error.source().unwrap().to_string();
    assert!(source.contains("one process owns the file"), "{source}");
    assert_eq!(error.effect(), Effect::NotApplied);
    // As in a deploy: the next one waits for the last one.
    let next = tokio::spawn(SqliteStore::open(place.config()));
    tokio::time::sleep(Duration::from_millis(200)).await;
    first.close().await.unwrap();
    next.await.unwrap().unwrap().ready().await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_to_the_file_leads_to_the_same_owner() {
    let place = Place::new();
    let _first = place.open().await;
    let link = place.beside("link.db");
    std::os::unix::fs::symlink(place.path(), &link).unwrap();
    let error = refused(SqliteConfig::new(link)).await;
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
}

/// This test program as another process, which does nothing but open the store at `OPEN`.
#[tokio::test]
#[ignore = "a part of another test"]
async fn another_process() {
    let Ok(path) = std::env::var("OPEN") else { return };
    let error = refused(SqliteConfig::new(path)).await;
    assert!(error.source().unwrap().to_string().contains("one process owns the file"), "{error:?}");
}

#[tokio::test]
async fn a_second_process_is_refused() {
    let place = Place::new();
    let store = place.open().await;
    let other = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "opening::another_process", "--ignored"]);
        command.env("OPEN", place.path()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().unwrap().success()
    };
    assert!(other());
    store.close().await.unwrap();
    assert!(!other(), "it opens the store now");
}

#[tokio::test]
async fn the_shell_reads_names_while_the_store_is_open() {
    let place = Place::new();
    let store = place.open().await;
    fill(&store, 3, 2).await;
    let shell = place.shell();
    let row: (String, i64) = shell
        .query_row("SELECT event, count FROM named_counts ORDER BY event", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    assert_eq!(row, ("event number 0".to_owned(), 3));
    let sql = "SELECT count(*) FROM named_rsvps WHERE user = 'user number 1'";
    assert_eq!(shell.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap(), 2);
    store.rsvp(&user(9), &event(9)).await.unwrap();
    drop(shell);
    store.close().await.unwrap();
    assert!(!place.beside("rsvp.db-wal").exists(), "all of it is in the file");
}

#[tokio::test]
async fn a_program_that_writes_makes_calls_wait_and_no_longer_than_they_may() {
    let place = Place::new();
    let config = place.config().with_busy_timeout(Duration::from_millis(300));
    let store = SqliteStore::open(config).await.unwrap();
    let shell = place.shell();
    shell.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = store.rsvp(&user(1), &event(1)).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    assert_eq!((error.effect(), error.is_retryable()), (Effect::NotApplied, true));
    assert!(!store.has_rsvped(&user(1), &event(1)).await.unwrap(), "reads do not wait");
    let writing = tokio::spawn({
        let store = store.clone();
        async move { store.rsvp(&user(1), &event(1)).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    shell.execute_batch("COMMIT").unwrap();
    writing.await.unwrap().unwrap();
}
