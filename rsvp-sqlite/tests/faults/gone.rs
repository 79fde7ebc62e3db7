//! The file goes away, or another one takes its place.

use std::error::Error as _;
use std::fs;

use rsvp_core::{Effect, Error, EventId, RsvpStore, RsvpStoreExt, UserId};
use rsvp_sqlite::{SqliteConfig, SqliteStore};

fn pair(n: u32) -> (UserId, EventId) {
    (UserId::from(n), EventId::new("fair").unwrap())
}

async fn assert_refuses(store: &SqliteStore) {
    let (user, event) = pair(2);
    let error = store.rsvp(&user, &event).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    assert_eq!(error.effect(), Effect::NotApplied);
    let source = error.source().unwrap().to_string();
    assert!(source.contains("not the file that was opened"), "{source}");
    store.ready().await.unwrap_err();
}

#[tokio::test]
async fn a_folder_that_goes_away_refuses_writes_until_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let (data, away) = (folder.path().join("data"), folder.path().join("away"));
    fs::create_dir(&data).unwrap();
    let store = SqliteStore::open(SqliteConfig::new(data.join("rsvp.db"))).await.unwrap();
    let (user, event) = pair(1);
    store.rsvp(&user, &event).await.unwrap();
    fs::rename(&data, &away).unwrap();
    assert_refuses(&store).await;
    assert!(store.has_rsvped(&user, &event).await.unwrap(), "reads go on");
    fs::rename(&away, &data).unwrap();
    store.ready().await.unwrap();
    let (user, event) = pair(2);
    store.rsvp(&user, &event).await.unwrap();
}

/// As `rm`, and a backup that is put in place of the file while the store is open: writes would go to a
/// file without a name.
#[tokio::test]
async fn a_file_or_a_log_that_was_removed_or_replaced_refuses_writes() {
    for name in ["rsvp.db", "rsvp.db-wal"] {
        for replaced in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("rsvp.db");
            let store = SqliteStore::open(SqliteConfig::new(&path)).await.unwrap();
            let (user, event) = pair(1);
            store.rsvp(&user, &event).await.unwrap();
            let victim = folder.path().join(name);
            let bytes = fs::read(&victim).unwrap();
            fs::remove_file(&victim).unwrap();
            if replaced {
                fs::write(&victim, bytes).unwrap();
            }
            assert_refuses(&store).await;
        }
    }
}
