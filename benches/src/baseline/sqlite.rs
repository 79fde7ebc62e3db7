//! The baseline on SQLite.

use std::path::Path;
use std::sync::{Arc, Mutex};

use rsvp_core::{EventId, Rsvp, UserId, Write, async_trait};
use rusqlite::{Connection, OptionalExtension};

use crate::way::Way;

const TABLES: &str = "
    CREATE TABLE rsvps (event TEXT, user TEXT, PRIMARY KEY (event, user)) WITHOUT ROWID;
    CREATE INDEX rsvps_of_users ON rsvps (user);
    CREATE TABLE counts (event TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;";

const INSERT: &str = "INSERT INTO rsvps (event, user) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
const COUNT: &str = "INSERT INTO counts (event, count) VALUES (?1, 1)
                     ON CONFLICT DO UPDATE SET count = count + 1";
const COUNT_OF: &str = "SELECT count FROM counts WHERE event = ?1";
const ATTENDEES: &str = "SELECT user FROM rsvps WHERE event = ?1 ORDER BY user LIMIT 100";
const EVENTS_OF: &str = "SELECT event FROM rsvps WHERE user = ?1 ORDER BY event LIMIT 100";
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
        self.add(vec![pair]).await;
    }

    /// RSVPs in one transaction, on a thread that may block.
    async fn add(&self, pairs: Vec<Rsvp>) {
        self.run(move |connection| {
            let transaction = connection.unchecked_transaction()?;
            for Rsvp { event, user } in &pairs {
                let names = [event.as_str(), user.as_str()];
                if transaction.prepare_cached(INSERT)?.execute(names)? > 0 {
                    transaction.prepare_cached(COUNT)?.execute([event.as_str()])?;
                }
            }
            transaction.commit()
        })
        .await;
    }

    /// Does something with the connection, on a thread that may block.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> T {
        let connection = Arc::clone(&self.0);
        let work = move || work(&connection.lock().expect("no panic before this"));
        let done = tokio::task::spawn_blocking(work).await.expect("no panic");
        done.expect("the file works")
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
        self.run(move |connection| has(connection, &pair)).await
    }

    /// How many rows a query by one name returns.
    async fn page(&self, sql: &'static str, name: String) -> usize {
        self.run(move |connection| {
            let mut query = connection.prepare_cached(sql)?;
            let rows = query.query_map([name], |row| row.get::<_, String>(0))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        })
        .await
        .len()
    }
}

fn has(connection: &Connection, Rsvp { event, user }: &Rsvp) -> rusqlite::Result<bool> {
    let mut query = connection.prepare_cached(HAS)?;
    let found = query.query_row([event.as_str(), user.as_str()], |_| Ok(())).optional()?;
    Ok(found.is_some())
}

#[async_trait]
impl Way for SqliteBaseline {
    async fn rsvp(&self, pairs: &[Rsvp]) {
        self.add(pairs.to_vec()).await;
    }

    async fn has_rsvped(&self, pairs: &[Rsvp]) -> Vec<bool> {
        let pairs = pairs.to_vec();
        self.run(move |connection| pairs.iter().map(|pair| has(connection, pair)).collect()).await
    }

    async fn rsvp_count(&self, events: &[EventId]) -> Vec<u64> {
        let events = events.to_vec();
        self.run(move |connection| {
            let mut query = connection.prepare_cached(COUNT_OF)?;
            let mut count = |event: &EventId| {
                let count: Option<i64> =
                    query.query_row([event.as_str()], |row| row.get(0)).optional()?;
                Ok(count.unwrap_or(0).unsigned_abs())
            };
            events.iter().map(&mut count).collect()
        })
        .await
    }

    async fn attendees(&self, event: &EventId) -> usize {
        self.page(ATTENDEES, event.as_str().to_owned()).await
    }

    async fn events_of(&self, user: &UserId) -> usize {
        self.page(EVENTS_OF, user.as_str().to_owned()).await
    }
}
