//! By hand on SQLite: one transaction for each write.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rsvp::{Action, EventId, Outcome, Rsvp, UserId, Write};
use rusqlite::{Connection, OptionalExtension};

use crate::target::{Answer, Failed, PAGE, Target};

const TABLES: &str = "
    CREATE TABLE rsvps (event TEXT, user TEXT, PRIMARY KEY (event, user)) WITHOUT ROWID;
    CREATE INDEX rsvps_of_users ON rsvps (user);
    CREATE TABLE counts (event TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;";
const INSERT: &str = "INSERT INTO rsvps (event, user) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
const DELETE: &str = "DELETE FROM rsvps WHERE event = ?1 AND user = ?2";
const COUNTED: &str = "INSERT INTO counts (event, count) VALUES (?1, ?2)
                       ON CONFLICT DO UPDATE SET count = count + excluded.count";
const HAS: &str = "SELECT 1 FROM rsvps WHERE event = ?1 AND user = ?2";
const COUNT: &str = "SELECT count FROM counts WHERE event = ?1";
const ATTENDEES: &str = "SELECT user FROM rsvps WHERE event = ?1 ORDER BY user LIMIT ?2";
const EVENTS_OF: &str = "SELECT event FROM rsvps WHERE user = ?1 ORDER BY event LIMIT ?2";

/// A connection that callers share, on a log that is synced at each commit.
#[derive(Clone, Debug)]
pub(super) struct SqliteByHand {
    connection: Arc<Mutex<Connection>>,
    path: PathBuf,
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self::new("backend", error)
    }
}

impl SqliteByHand {
    /// A new file beside that of the store.
    pub(super) fn create(store: &str) -> Answer<Self> {
        let path = PathBuf::from(format!("{store}.by-hand-{}", std::process::id()));
        let connection = Connection::open(&path)?;
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "cache_size", -32 * 1024)?;
        connection.execute_batch(TABLES)?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)), path })
    }

    /// Works on a thread that may block.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<T> {
        let connection = Arc::clone(&self.connection);
        let working = tokio::task::spawn_blocking(move || {
            work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner))
        });
        Ok(working.await.map_err(|error| Failed::new("backend", error))??)
    }

    async fn page(&self, sql: &'static str, id: String) -> Answer<usize> {
        self.work(move |connection| {
            let mut query = connection.prepare_cached(sql)?;
            let rows = query.query_map((id, PAGE), |row| row.get::<_, String>(0))?;
            Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?.len())
        })
        .await
    }
}

fn change(connection: &Connection, action: Action, pair: &Rsvp) -> rusqlite::Result<bool> {
    let (sql, by) = match action {
        Action::Rsvp => (INSERT, 1),
        Action::Cancel => (DELETE, -1),
    };
    let names = [pair.event.as_str(), pair.user.as_str()];
    let changed = connection.prepare_cached(sql)?.execute(names)? > 0;
    if changed {
        connection.prepare_cached(COUNTED)?.execute((pair.event.as_str(), by))?;
    }
    Ok(changed)
}

#[async_trait]
impl Target for SqliteByHand {
    async fn write(&self, write: &Write) -> Answer<Outcome> {
        let write = write.clone();
        let changed = self.work(move |connection| {
            let transaction = connection.transaction()?;
            let changed = change(&transaction, write.action, &write.rsvp)?;
            transaction.commit()?;
            Ok(changed)
        });
        Ok(Outcome::from_changed(changed.await?))
    }

    async fn has_rsvped(&self, pair: &Rsvp) -> Answer<bool> {
        let pair = pair.clone();
        let found = self.work(move |connection| {
            let names = [pair.event.as_str(), pair.user.as_str()];
            connection.prepare_cached(HAS)?.query_row(names, |_| Ok(())).optional()
        });
        Ok(found.await?.is_some())
    }

    async fn rsvp_count(&self, event: &EventId) -> Answer<u64> {
        let event = event.to_string();
        let count = self.work(move |connection| {
            connection
                .prepare_cached(COUNT)?
                .query_row([event], |row| row.get::<_, i64>(0))
                .optional()
        });
        let count = count.await?.unwrap_or_default();
        u64::try_from(count).map_err(|_| Failed::new("corrupt", "a count below zero"))
    }

    async fn attendees(&self, event: &EventId) -> Answer<usize> {
        self.page(ATTENDEES, event.to_string()).await
    }

    async fn events_of(&self, user: &UserId) -> Answer<usize> {
        self.page(EVENTS_OF, user.to_string()).await
    }

    async fn fill(&self, pairs: &[Rsvp]) -> Answer<()> {
        let pairs = pairs.to_vec();
        self.work(move |connection| {
            let transaction = connection.transaction()?;
            for pair in &pairs {
                change(&transaction, Action::Rsvp, pair)?;
            }
            transaction.commit()
        })
        .await
    }

    async fn clear(&self, _events: &[EventId], _users: &[UserId]) -> Answer<()> {
        self.work(|connection| connection.execute_batch("DELETE FROM rsvps; DELETE FROM counts"))
            .await
    }

    async fn close(&self) -> Answer<()> {
        for end in ["", "-wal", "-shm"] {
            let file = format!("{}{end}", self.path.display());
            match std::fs::remove_file(&file) {
                Err(error) if end.is_empty() => return Err(Failed::new("backend", error)),
                _ => {}
            }
        }
        Ok(())
    }
}
