//! Stores in temporary folders, and what another program does to their files.

use std::path::PathBuf;

use rsvp_core::{EventId, RsvpStore, UserId, Write, WriteOptions};
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

/// RSVPs of so many users to each of so many events.
pub(crate) async fn fill(store: &dyn RsvpStore, users: u64, events: u64) {
    let pairs = (0..users).flat_map(|n| (0..events).map(move |e| (user(n), event(e))));
    let writes: Vec<Write> = pairs.map(|(user, event)| Write::rsvp(user, event)).collect();
    let receipt = store.write_batch(&writes, &WriteOptions::default()).await.unwrap();
    receipt.outcomes().unwrap();
}
