//! Stores in temporary folders, and what another program does to their files.

use std::ops::Range;
use std::path::PathBuf;

use futures_util::future::join_all;
use rsvp_core::{EventId, Label, LabelName, RsvpStore, UserId, Write, WriteOptions};
use rsvp_sqlite::{SqliteConfig, SqliteStore};
use rusqlite::Connection;
use tempfile::TempDir;

/// A folder with the file of a store in it.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("rsvp.db")
    }

    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn config(&self) -> SqliteConfig {
        SqliteConfig::new(self.path())
    }

    pub(crate) async fn open(&self) -> SqliteStore {
        SqliteStore::open(self.config()).await.unwrap()
    }

    /// Another program, such as the `sqlite3` shell.
    pub(crate) fn shell(&self) -> Connection {
        let connection = Connection::open(self.path()).unwrap();
        connection.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
        connection
    }
}

pub(crate) fn user(n: u64) -> UserId {
    UserId::new(format!("user number {n}")).unwrap()
}

pub(crate) fn event(n: u64) -> EventId {
    EventId::new(format!("event number {n}")).unwrap()
}

/// Sets labels with these numbers, all at once, to values of 16 pages each that consist of `letter`,
/// and of `before` until then: the engine writes only the pages of a value that differ.
pub(crate) async fn write_labels(
    store: &dyn RsvpStore,
    numbers: Range<u32>,
    before: Option<char>,
    letter: char,
) {
    let value = |letter| Label::new(String::from(letter).repeat(Label::MAX_BYTES)).unwrap();
    let (before, value) = (before.map(value), value(letter));
    let labels = numbers.map(|n| {
        let (before, value) = (before.as_ref(), &value);
        async move {
            let name = LabelName::new(&format!("label-{n}")).unwrap();
            let options = WriteOptions::default();
            let replaced = store.replace_label(&name, before, value, &options).await.unwrap();
            assert!(replaced.as_ref() == before, "label {n}");
        }
    });
    join_all(labels).await;
}

/// RSVPs of so many users to each of so many events.
pub(crate) async fn fill(store: &dyn RsvpStore, users: u64, events: u64) {
    let pairs = (0..users).flat_map(|n| (0..events).map(move |e| (user(n), event(e))));
    let writes: Vec<Write> = pairs.map(|(user, event)| Write::rsvp(user, event)).collect();
    let receipt = store.write_batch(&writes, &WriteOptions::default()).await.unwrap();
    receipt.outcomes().unwrap();
}
