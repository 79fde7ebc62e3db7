//! The baseline on SQLite.

use std::path::Path;
use std::sync::{Arc, Mutex};

use rsvp_core::{Rsvp, Write};
use rusqlite::{Connection, OptionalExtension};

const TABLES: &str = "
    CREATE TABLE rsvps (event TEXT, user TEXT, PRIMARY KEY (event, user)) WITHOUT ROWID;
    CREATE INDEX rsvps_of_users ON rsvps (user);
    CREATE TABLE counts (event TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;";

const INSERT: &str = "INSERT INTO rsvps (event, user) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
const COUNT: &str = "INSERT INTO counts (event, count) VALUES (?1, 1)
                     ON CONFLICT DO UPDATE SET count = count + 1";
const HAS: &str = "SELECT 1 FROM rsvps WHERE event = ?1 AND user = ?2";

/// A connection that callers share, with statements that stay prepared, on a log that is synced at
/// each commit: one transaction an RSVP.
#[derive(Clone, Debug)]
pub struct SqliteBaseline(Arc<Mutex<Connection>>);

impl SqliteBaseline {
    /// A new file.
    pub fn create(path: &Path) -> Self {
        let connection = Connection::open(path).expect("a file");
        connection
            .pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))
            .and_then(|()| connection.pragma_update(None, "synchronous", "FULL"))
            .and_then(|()| connection.pragma_update(None, "cache_size", -32 * 1024))
            .and_then(|()| connection.execute_batch(TABLES))
            .expect("the tables");
        Self(Arc::new(Mutex::new(connection)))
    }

    /// One RSVP, in a transaction of its own, on a thread that may block.
    pub async fn rsvp(&self, pair: Rsvp) {
        let connection = Arc::clone(&self.0);
        let write = move || {
            let connection = connection.lock().expect("no panic before this");
            let transaction = connection.unchecked_transaction()?;
            let names = [pair.event.as_str(), pair.user.as_str()];
            if transaction.prepare_cached(INSERT)?.execute(names)? > 0 {
                transaction.prepare_cached(COUNT)?.execute([pair.event.as_str()])?;
            }
            transaction.commit()
        };
        tokio::task::spawn_blocking(write).await.expect("no panic").expect("an RSVP");
    }

    /// Many RSVPs in one transaction, before anything is measured.
    pub fn load(&self, writes: &[Write]) {
        let connection = self.0.lock().expect("no panic before this");
        let load = || {
            let transaction = connection.unchecked_transaction()?;
            for Write { rsvp: Rsvp { event, user }, .. } in writes {
                transaction.prepare_cached(INSERT)?.execute([event.as_str(), user.as_str()])?;
            }
            transaction.commit()
        };
        load().expect("RSVPs");
    }

    /// Whether a pair exists, on a thread that may block.
    pub async fn has_rsvped(&self, pair: Rsvp) -> bool {
        let connection = Arc::clone(&self.0);
        let read = move || {
            let connection = connection.lock().expect("no panic before this");
            let names = [pair.event.as_str(), pair.user.as_str()];
            let mut query = connection.prepare_cached(HAS)?;
            query.query_row(names, |_| Ok(())).optional()
        };
        let found = tokio::task::spawn_blocking(read).await.expect("no panic");
        found.expect("an answer").is_some()
    }
}
