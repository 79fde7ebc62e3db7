//! The server's process behind a connection, and the ways to stop it from another connection.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, FromRow, raw_sql};

/// Asks a process to cancel its statement.
const CANCEL: &str = include_str!("../sql/cancel_backend.sql");

/// Ends processes, and lists those that were still alive.
const END: &str = include_str!("../sql/end_backends.sql");

/// A server's process. It is identified by its start, too, because process ids are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Backend {
    pub(crate) pid: i32,
    /// The start of the process, in microseconds since 1970. `None` if it is hidden from the role.
    pub(crate) started: Option<i64>,
    /// The transaction, if the process belongs to a pooler. The next transaction may be of another
    /// client.
    pub(crate) transaction: Option<Tag>,
    /// The latest server time at which the statement can have begun, in microseconds since 1970.
    /// A later statement may be of another client, because a pooler lends the process again once
    /// the connection is closed.
    pub(crate) begun_by: i64,
}

/// The mark of one transaction. The process shows it at the end of its `application_name`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Tag(u64);

impl Tag {
    /// Makes a unique mark.
    pub(crate) fn new() -> Self {
        // The first one is random, so that processes do not share marks.
        static FIRST: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(()));
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(FIRST.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    /// Returns the end of the name of the process.
    pub(crate) fn suffix(self) -> String {
        format!(" #{:016x}", self.0)
    }
}

/// The process that runs a connection's statements at present, shared with other tasks.
#[derive(Clone, Debug)]
pub(crate) struct RunningOn(Arc<Mutex<Option<Backend>>>);

impl RunningOn {
    pub(crate) fn new(backend: Option<Backend>) -> Self {
        Self(Arc::new(Mutex::new(backend)))
    }

    /// Returns the process. `None` if a pooler has lent none.
    pub(crate) fn get(&self) -> Option<Backend> {
        *self.locked()
    }

    pub(crate) fn set(&self, backend: Option<Backend>) {
        *self.locked() = backend;
    }

    fn locked(&self) -> MutexGuard<'_, Option<Backend>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A process that was still alive when it was to be ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alive {
    pub(crate) backend: Backend,
    /// It is in the middle of a transaction that has changed something.
    pub(crate) changing: bool,
    /// It was told to end. A process with a hidden start is not.
    pub(crate) told: bool,
}

/// The answer of a server to a request to stop something.
#[derive(Debug)]
pub(super) enum Reply {
    /// It did so. These processes were alive before.
    Alive(Vec<Alive>),
    /// This role has no right to do so.
    Refused,
}

impl Backend {
    /// Asks the process to cancel its statement. An idle process ignores it.
    pub(super) async fn cancel(self, pg: &mut PgConnection) -> sqlx::Result<()> {
        let statement = CANCEL
            .replace("{pid}", &self.pid.to_string())
            .replace("{started}", &self.started_sql())
            .replace("{suffix}", &self.suffix_sql())
            .replace("{begun_by}", &self.begun_by.to_string());
        raw_sql(AssertSqlSafe(statement)).execute(pg).await.map(drop)
    }

    /// Tells processes to end, and returns those that were still alive.
    pub(super) async fn end_all(
        backends: &[Self],
        pg: &mut PgConnection,
    ) -> sqlx::Result<Vec<Alive>> {
        // 1. The request. Numbers and marks need no escaping.
        let of =
            |value: fn(&Self) -> String| backends.iter().map(value).collect::<Vec<_>>().join(", ");
        let statement = END
            .replace("{pids}", &of(|backend| backend.pid.to_string()))
            .replace("{starts}", &of(Self::started_sql))
            .replace("{suffixes}", &of(Self::suffix_sql))
            .replace("{begun_by}", &of(|backend| backend.begun_by.to_string()));
        let rows = raw_sql(AssertSqlSafe(statement)).fetch_all(pg).await?;
        // 2. The answer. It names each process by its place in the request, from 1.
        let mut all = Vec::with_capacity(rows.len());
        for row in &rows {
            let (number, changing, told): (i64, bool, bool) = FromRow::from_row(row)?;
            let number = usize::try_from(number).unwrap_or_default();
            let backend = number.checked_sub(1).and_then(|place| backends.get(place)).copied();
            all.extend(backend.map(|backend| Alive { backend, changing, told }));
        }
        Ok(all)
    }

    fn started_sql(&self) -> String {
        self.started.map_or_else(|| "NULL".to_owned(), |started| started.to_string())
    }

    /// Returns the end of its name in SQL, empty for any name.
    fn suffix_sql(&self) -> String {
        format!("'{}'", self.transaction.map(Tag::suffix).unwrap_or_default())
    }
}
